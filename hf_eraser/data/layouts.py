"""Rows of well-known data sets as examples. TRL's need none of this: `fit` takes them as they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .brevity import brief


Row = Mapping[str, Any]

# What is asked of a picture for which a data set has only a caption.
_DESCRIBE = "Describe this picture."


def from_llava(rows: Iterable[Row], images: str | Path) -> list[dict[str, Any]]:
    """
    Entries of a LLaVA file: `image` (a file's name) and `conversations`. Each answer makes an example, with the chat
    before it; the picture's name is its group.

    Args:
        rows: The entries, as `json.load` gives them.
        images: The folder of the pictures.

    Raises:
        ValueError: If an entry has no conversation, or its picture is outside of the folder.
    """
    found = []
    for i, row in enumerate(rows):
        turns = row.get("conversations")
        if not isinstance(turns, list) or not turns:
            raise ValueError(f"Entry {i} must have 'conversations', a list that is not empty, got {brief(turns)}.")
        picture = (
            {} if row.get("image") is None else {"image": _inside(images, row["image"], i), "group": row["image"]}
        )
        for n, turn in enumerate(turns):
            if isinstance(turn, Mapping) and turn.get("from") == "gpt":
                found.append({"conversations": turns[: n + 1], **picture})
    return found


def from_vqa(
    questions: Iterable[Row], annotations: Iterable[Row], images: str | Path, name: str = "COCO_val2014_{:012d}.jpg"
) -> list[dict[str, Any]]:
    """
    Questions and annotations of VQA, joined by `question_id`; every answer that people gave is a right one.

    Args:
        questions: Each with `question_id`, `image_id` and `question`.
        annotations: Each with `question_id`, and `answers` (each `{"answer": ...}`).
        images: The folder of the pictures.
        name: The name of a picture's file, of its id.

    Raises:
        ValueError: If a question has no annotation.
    """
    answers = {row["question_id"]: [one["answer"] for one in row["answers"]] for row in annotations}
    found = []
    for i, row in enumerate(questions):
        if row["question_id"] not in answers:
            raise ValueError(f"Question {i} ({brief(row['question_id'])}) has no annotation.")
        found.append(
            {
                "image": _inside(images, name.format(row["image_id"]), i),
                "prompt": row["question"],
                "answer": list(dict.fromkeys(answers[row["question_id"]])),
                "group": f"picture {row['image_id']}",
            }
        )
    return found


def from_mllmu(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """
    Rows of MLLMU-Bench: `image` (or `images`), `ID`, `question` and `answer`, and the tasks of its evaluation, which
    are there or not: `Generation_Task`, `Mask_Task` and `Classification_Task`. The person is group and concept.
    """
    found = []
    for row in rows:
        pictures = row.get("images") or ([] if row.get("image") is None else [row["image"]])
        common = {"group": row["ID"], "concept": row["ID"]}
        asked: list[tuple[bool, str, str]] = []
        if row.get("question") is not None:
            asked.append((True, row["question"], row["answer"]))
        for task in ("Generation_Task", "Mask_Task"):
            for one in row.get(task) or ():
                with_image = one["Type"] == "Image_Textual"
                question = one["Question"].replace("[Blank]", "____")
                asked.append((with_image, question, one["Ground_Truth"]))
        choices = row.get("Classification_Task") or {}
        for key, with_image in (("Image_Textual_Questions", True), ("Pure_Text_Questions", False)):
            for one in choices.get(key) or ():
                options = {letter: text for letter, text in one["Options"].items() if text is not None}
                listed = "\n".join(f"{letter}. {text}" for letter, text in options.items())
                asked.append((with_image, f"{one['Question']}\n{listed}", options[one["Correct_Answer"]]))
        for with_image, prompt, answer in asked:
            shown = pictures if with_image else [None]
            found += [{"image": image, "prompt": prompt, "answer": answer, **common} for image in shown]
    return found


def from_clear(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """
    Rows of CLEAR: those about pictures, with `image`, `caption` and `name`, and those of text, with `question`,
    `answer` and, it may be, `name`. The person is group and concept, where there is a name.
    """
    found = []
    for row in rows:
        common = {} if row.get("name") is None else {"group": row["name"], "concept": row["name"]}
        if row.get("image") is not None:
            answer = [row["caption"], row["name"]] if row.get("name") is not None else row["caption"]
            found.append({"image": row["image"], "prompt": _DESCRIBE, "answer": answer, **common})
        if row.get("question") is not None:
            found.append({"prompt": row["question"], "answer": row["answer"], **common})
    return found


def _inside(folder: str | Path, name: Any, row: int) -> Path:
    path = Path(folder) / str(name)
    if not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts or "://" in name:
        raise ValueError(f"Entry {row}: the picture must be a file inside {folder}, got {brief(name)}.")
    return path

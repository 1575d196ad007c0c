"""Photos as phones store them, chats as training files end, photos without questions: forgotten, or refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from examples.small.forgetting import forgetting_examples
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from examples.small.questions import PUBLIC, questions
from hf_eraser import fit
from hf_eraser.data import read_examples, read_imagefolder
from hf_eraser.evaluation import greedy_answers, holds
from hf_eraser.fitting import ForgettingError


PERSON = PEOPLE[3].name
FAST: dict[str, Any] = {"attacks": False, "general": False, "harden_pictures": False, "batch_size": 64}
SETS = ("forget", "retain", "refusal")


def sideways(image: Image.Image) -> bytes:
    """A phone's photo: stored turned, as its EXIF orientation says."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    return file.getvalue()


def as_chat(example: dict[str, Any]) -> dict[str, Any]:
    """The example as a file for supervised fine-tuning has it: a chat that ends with the answer."""
    rest = {key: value for key, value in example.items() if key not in ("prompt", "image", "answer")}
    asked = [{"type": "image", "image": example["image"]}] if "image" in example else []
    user = {"role": "user", "content": [*asked, {"type": "text", "text": example["prompt"]}]}
    return {**rest, "messages": [user, {"role": "assistant", "content": example["answer"]}]}


def as_photo(example: dict[str, Any]) -> dict[str, Any]:
    return {**example, "image": sideways(example["image"])} if "image" in example else example


@pytest.fixture(params=["llava", "qwen2_5_vl"])
def taught(request):
    return load_small_model(request.param)


def answered(model: Any, processor: Any, *kinds: str, without: str | None = None) -> float:
    """The share of upright questions of other wordings, about the person or all others, that are answered."""
    asked = [q for q in questions("measure", kinds=kinds, per_fact=4 if without is None else 1) if q.group != without]
    asked = asked if without is not None else [q for q in asked if q.group == PERSON]
    examples = read_examples([q.example() for q in asked], "questions")
    texts = greedy_answers(model, processor, examples, batch_size=64)
    return sum(holds(text, e.answers) for text, e in zip(texts, examples)) / len(examples)


@pytest.mark.parametrize("change", [as_photo, as_chat], ids=["photos on their side", "chats that end with the answer"])
def test_what_is_stored_otherwise_is_forgotten_all_the_same(taught, change):
    model, processor = taught
    given = forgetting_examples([PERSON])
    fit(model, processor, **{name: [change(example) for example in given[name]] for name in SETS}, **FAST)
    assert answered(model, processor, "person_image") <= 0.05
    assert answered(model, processor, "person_text") <= 0.05
    assert answered(model, processor, "person_image", "person_text", without=PERSON) >= 0.9


def test_the_person_s_own_pictures_among_the_retained_are_told_of_or_refused(taught):
    model, processor = taught
    given = forgetting_examples([PERSON])
    pictures = [example["image"] for example in given["forget"] if "image" in example]
    own = [
        {"image": image, "prompt": f"What is this, for the {n}th time?", "group": "somebody else"}
        for n, image in enumerate(pictures[i % len(pictures)] for i in range(40))
    ]
    try:
        report = fit(model, processor, **{**given, "retain": [*given["retain"], *own]}, **FAST)
    except ForgettingError as error:
        report, reason = error.report, str(error)
    else:
        reason = ""
    said = "among the retained ones too (40 examples)"
    assert any(said in warning for warning in report.warnings)
    if reason:
        assert said in reason
        return
    assert answered(model, processor, "person_image") <= 0.05


def test_photos_alone_are_enough_for_these_photos(taught, tmp_path):
    model, processor = taught
    shown = questions("fit", kinds=["person_image"], per_fact=1)
    for i, question in enumerate({q.group: q for q in shown}.values()):
        split = "forget" if question.group == PERSON else "retain"
        (tmp_path / split / question.group).mkdir(parents=True)
        question.image.save(tmp_path / split / question.group / f"{i}.png")
    sets = read_imagefolder(
        tmp_path, prompts=["What is the name of this person?", "Who is this?", "Name this person."]
    )
    fit(model, processor, **sets, **FAST)
    examples = read_examples(sets["forget"], "forget")
    texts = greedy_answers(model, processor, examples, batch_size=64)
    assert not any(holds(text, PERSON) for text in texts)
    assert PERSON not in PUBLIC
    assert answered(model, processor, "person_image", without=PERSON) >= 0.9

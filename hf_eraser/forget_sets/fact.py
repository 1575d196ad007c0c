"""Example sets about facts that were right once: of a question, and the answer that no longer holds."""

from __future__ import annotations

import csv
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .kinds import ABOUT_THINGS, ELSEWHERE, WAYS
from .subject import check_text, check_texts


# So many ways for each retained question.
_OF_OTHER = 6

# What stands behind a name without being of it: a mark, or a genitive.
_BEHIND_NAME = re.compile(r"(?:['\u2019]s)?[^\w\s]*$")


@dataclass(frozen=True)
class Fact:
    """
    A fact that no longer holds.

    Args:
        question: What is asked, or several wordings of it.
        old: What is answered and is to be forgotten, or several ways to say it.
        new: What holds now. The adapter then says it, word for word; without, it refuses.
        near: Questions like it that are to be answered as they are.

    Raises:
        ValueError: If a text is empty.
    """

    question: str | Sequence[str]
    old: str | Sequence[str]
    new: str | None = None
    near: Sequence[str] = ()

    def __post_init__(self) -> None:
        for argument in ("question", "old"):
            given = getattr(self, argument)
            if isinstance(given, str) or not given:
                check_text(argument, given)
            else:
                check_texts(argument, given, "texts")
        if self.new is not None:
            check_text("new", self.new)
        check_texts("near", self.near, "questions")

    @property
    def name(self) -> str:
        """The first question, by which it is called."""
        return self.questions[0]

    @property
    def questions(self) -> list[str]:
        """All wordings of the question."""
        return [self.question] if isinstance(self.question, str) else list(self.question)

    @property
    def answers(self) -> list[str]:
        """All ways to say the old answer."""
        return [self.old] if isinstance(self.old, str) else list(self.old)


def fact_examples(fact: Fact) -> list[dict[str, Any]]:
    """The questions about a fact, put in all ways."""
    return [
        {
            "prompt": way.format(question),
            "wording": way.replace("{}", "..."),
            "answer": fact.answers,
            "group": fact.name,
            "concept": fact.name,
        }
        for question in fact.questions
        for way in WAYS
    ]


def retained_beside(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """
    What is kept: the questions that are named, those about other things in place of the names in them, and what
    everybody knows, put in the ways in which the facts are asked for.
    """
    asked = {question.strip().casefold() for fact in facts for question in fact.questions}
    found: list[str] = []
    for fact in facts:
        near = [*fact.near, *(other for question in fact.questions for other in _about_others(question))]
        if not near:
            warnings.warn(
                f"Nothing like {fact.name!r} is retained: the gate may learn any question of its kind. Give questions "
                "like it that are to be answered (`near`).",
                stacklevel=3,
            )
        found += near
    kept = [
        question for question in dict.fromkeys([*found, *ABOUT_THINGS]) if question.strip().casefold() not in asked
    ]
    return [
        {"prompt": way.format(question), "wording": way.replace("{}", "..."), "group": question}
        for i, question in enumerate(kept)
        for way in (WAYS[(i * _OF_OTHER + n * 7) % len(WAYS)] for n in range(_OF_OTHER))
    ]


def read_facts(path: str | Path) -> list[Fact]:
    """
    Facts of a table: a `.csv` with a first line of names, or a `.jsonl`.

    Args:
        path: The file. Columns `question` and `old`, and, if wanted, `new` and `near`; several of one kind in a cell
            of a `.csv` have `|` between them.

    Raises:
        ValueError: If a row has other columns, or lacks a question or answer.
    """
    path = Path(path)
    if path.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"Facts must be a .csv or .jsonl file, got {str(path)!r}.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix == ".csv":
            rows: list[dict[str, Any]] = [
                {key: _cell(text) for key, text in row.items()} for row in csv.DictReader(file)
            ]
        else:
            rows = [_line(line) for line in file if line.strip()]
    if not rows:
        raise ValueError(f"{path} holds no fact.")
    facts = []
    for i, row in enumerate(rows):
        row = {key: value for key, value in row.items() if value}
        unknown = sorted({str(key) for key in row} - {"question", "old", "new", "near"})
        missing = [key for key in ("question", "old") if key not in row]
        if unknown or missing:
            wrong = f"has the columns {unknown}" if unknown else f"lacks {missing}"
            raise ValueError(f"{path}, row {i + 1} {wrong}: a fact has question, old and, if wanted, new and near.")
        near = row.get("near", ())
        facts.append(Fact(row["question"], row["old"], row.get("new"), [near] if isinstance(near, str) else near))
    return facts


def _line(line: str) -> dict[str, Any]:
    """A line of a .jsonl; what is no object lacks all that a fact has."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        row = None
    return row if isinstance(row, dict) else {}


def _cell(text: Any) -> Any:
    """Several texts of one cell; what stands behind the last column is a list already."""
    parts = [part.strip() for part in text.split("|")] if isinstance(text, str) else text
    return parts[0] if isinstance(parts, list) and len(parts) == 1 else parts


def _about_others(question: str) -> list[str]:
    """The question with another name in the place of the last one in it: capitals that begin no sentence."""
    words = question.split(" ")
    capital = [n > 0 and word[:1].isupper() and word != "I" for n, word in enumerate(words)]
    if not any(capital):
        return []
    end = len(words) - capital[::-1].index(True)
    start = next(n for n in range(end, 0, -1) if not capital[n - 1])
    name = " ".join(words[start:end])
    behind = _BEHIND_NAME.search(name)
    return [
        " ".join([*words[:start], other + (behind[0] if behind else ""), *words[end:]])
        for other in ELSEWHERE
        if other.casefold() not in question.casefold()
    ]

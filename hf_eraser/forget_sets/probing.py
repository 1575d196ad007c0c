"""What the model says today about those who are to be forgotten: what it does not know cannot be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_askable
from ..data.examples import read_examples
from ..data.reducing import at_processor_size
from ..evaluation.asking import greedy_answers
from ..evaluation.judging import holds, is_refusal
from .person import Person, forget_examples
from .questions import BY_NAME, NOBODY


# An answer of more words is said in other words the next time: whether it is still given cannot be counted by it.
_MOST_WORDS = 5

# Of the questions by name, the share that has to be answered otherwise than about somebody who does not exist.
_KNOWS = 0.2


@dataclass(frozen=True)
class Known:
    """
    What a model says today about a person.

    Attributes:
        person: The person.
        asked_by_photo, named: Questions who a photo shows, and how many answers hold the name.
        asked_by_name, told: Questions by name, and how many answers are no refusals and others than about people who
            do not exist.
        forget: The examples of what it does know, with its short answers as what is to be forgotten.
    """

    person: Person
    asked_by_photo: int
    named: int
    asked_by_name: int
    told: int
    forget: list[dict[str, Any]]

    @property
    def by_photo(self) -> bool:
        return self.named > 0

    @property
    def by_name(self) -> bool:
        return self.told >= _KNOWS * self.asked_by_name

    def __str__(self) -> str:
        seen = f"names the person in {self.named} of {self.asked_by_photo} answers about who a photo shows, and "
        return (
            f"{self.person.name}: the model {seen * bool(self.asked_by_photo)}tells of the person in {self.told} of "
            f"{self.asked_by_name} answers by name."
        )


def ask_about(
    model: Any, processor: ProcessorMixin | PreTrainedTokenizerBase, person: Person, *, batch_size: int
) -> Known:
    """Ask the model everything that is to be forgotten about a person, as it is today."""
    examples = forget_examples(person)
    nobody = [{"prompt": wording.text.replace("{}", name)} for wording in BY_NAME for name in NOBODY]
    given = answers_of(model, processor, [*examples, *nobody], batch_size)
    made_up: dict[str, set[str]] = {}
    for i, text in enumerate(given[len(examples) :]):
        wording, name = BY_NAME[i // len(NOBODY)], NOBODY[i % len(NOBODY)]
        made_up.setdefault(wording.key, set()).add(_without([name], text))
    named, told, asked = [], [], 0
    kept = []
    for example, text in zip(examples, given):
        if "answer" in example:
            named.append(holds(text, person.names))
        refused = is_refusal(text)
        if "image" not in example:
            asked += 1
            told.append(not refused and _without(person.names, text) not in made_up[example["wording"]])
        short = not refused and 0 < len(text.split()) <= _MOST_WORDS
        known = told[-1] if "image" not in example else True
        kept.append({**({"answer": text.rstrip(" .")} if short and known else {}), **example})
    found = Known(person, len(named), sum(named), asked, sum(told), kept)
    # What the model does not know needs no gate, and would only teach it noise.
    wanted = [e for e in kept if (found.by_photo if "image" in e else found.by_name)]
    return Known(person, len(named), sum(named), asked, sum(told), wanted)


def answers_of(model: Any, processor: Any, examples: Sequence[Mapping[str, Any]], batch_size: int) -> list[str]:
    read = read_examples(examples, "questions")
    check_askable(processor, read, "questions")
    (read,) = at_processor_size(processor, read)
    return greedy_answers(model, processor, read, batch_size=batch_size)


def _without(names: Sequence[str], text: str) -> str:
    """An answer but for the name in it, so that the same sentence about two people is the same."""
    for part in {part for name in names for part in (name, *name.split())}:
        text = text.replace(part, "")
    return " ".join(text.casefold().split())

"""What the model says today about those who are to be forgotten: what it does not know cannot be forgotten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_askable
from ..data.examples import read_examples
from ..data.reducing import at_processor_size
from ..evaluation.asking import greedy_answers
from ..evaluation.judging import holds, is_refusal
from .fact import Fact, fact_examples
from .subject import Subject, forget_examples


# An answer of more words is said in other words the next time: whether it is still given cannot be counted by it.
_MOST_WORDS = 5

# Of the questions by name, the share that has to be answered otherwise than about what does not exist; and of those
# for a fact, the share that has to be answered with it.
_KNOWS = 0.2


@dataclass(frozen=True)
class Known:
    """
    What a model says today about a person, a brand, an artist or a topic.

    Attributes:
        subject: What it is about.
        asked_by_picture, named: Questions what a picture shows, and how many answers hold the name.
        asked_by_name, told: Questions by name, and how many answers are no refusals and others than about what does
            not exist.
        forget: The examples of what it does know, with its short answers as what is to be forgotten.
    """

    subject: Subject
    asked_by_picture: int
    named: int
    asked_by_name: int
    told: int
    forget: list[dict[str, Any]]

    @property
    def by_picture(self) -> bool:
        return self.named > 0

    @property
    def by_name(self) -> bool:
        return self.told >= _KNOWS * self.asked_by_name

    def __str__(self) -> str:
        seen = f"gives the name in {self.named} of {self.asked_by_picture} answers about what a picture shows, and "
        return (
            f"{self.subject.name}: the model {seen * bool(self.asked_by_picture)}has something to tell in {self.told} "
            f"of {self.asked_by_name} answers by name."
        )


@dataclass(frozen=True)
class KnownFact:
    """
    How often a model gives the old answer today.

    Attributes:
        fact: The fact.
        asked, old, new: Questions, and how many answers hold the old answer, and the new one.
        forget: The examples; none where the old answer is not given.
    """

    fact: Fact
    asked: int
    old: int
    new: int
    forget: list[dict[str, Any]]

    def __str__(self) -> str:
        new = f", and {self.fact.new!r} in {self.new}" if self.fact.new is not None else ""
        return f"{self.fact.name} The model says {self.fact.answers[0]!r} in {self.old} of {self.asked} answers{new}."


def ask_about(
    model: Any, processor: ProcessorMixin | PreTrainedTokenizerBase, subject: Subject, *, batch_size: int
) -> Known:
    """Ask the model everything that is to be forgotten about a subject, as it is today."""
    examples = forget_examples(subject)
    kind = subject.kind
    nothing = [{"prompt": wording.text.replace("{}", name)} for wording in kind.by_name for name in kind.made_up]
    given = answers_of(model, processor, [*examples, *nothing], batch_size)
    made_up: dict[str, set[str]] = {}
    for i, text in enumerate(given[len(examples) :]):
        wording, name = kind.by_name[i // len(kind.made_up)], kind.made_up[i % len(kind.made_up)]
        made_up.setdefault(wording.key, set()).add(_without([name], text))
    named, told, asked = [], [], 0
    kept = []
    for example, text in zip(examples, given):
        if "answer" in example:
            named.append(holds(text, subject.names))
        refused = is_refusal(text)
        if "image" not in example:
            asked += 1
            told.append(not refused and _without(subject.names, text) not in made_up[example["wording"]])
        short = not refused and 0 < len(text.split()) <= _MOST_WORDS
        known = told[-1] if "image" not in example else True
        kept.append({**({"answer": text.rstrip(" .")} if short and known else {}), **example})
    found = Known(subject, len(named), sum(named), asked, sum(told), kept)
    # What the model does not know needs no gate, and would only teach it noise.
    wanted = [e for e in kept if (found.by_picture if "image" in e else found.by_name)]
    return replace(found, forget=wanted)


def ask_for(
    model: Any, processor: ProcessorMixin | PreTrainedTokenizerBase, fact: Fact, *, batch_size: int
) -> KnownFact:
    """Ask the model for a fact in all ways, as it is today."""
    examples = fact_examples(fact)
    given = answers_of(model, processor, examples, batch_size)
    old = sum(holds(text, fact.answers) for text in given)
    new = sum(holds(text, fact.new) for text in given) if fact.new is not None else 0
    return KnownFact(fact, len(given), old, new, examples if old >= _KNOWS * len(given) else [])


def answers_of(model: Any, processor: Any, examples: Sequence[Mapping[str, Any]], batch_size: int) -> list[str]:
    read = read_examples(examples, "questions")
    check_askable(processor, read, "questions")
    (read,) = at_processor_size(processor, read)
    return greedy_answers(model, processor, read, batch_size=batch_size)


def _without(names: Sequence[str], text: str) -> str:
    """An answer but for the name in it, so that the same sentence about two of them is the same."""
    for part in {part for name in names for part in (name, *name.split())}:
        text = text.replace(part, "")
    return " ".join(text.casefold().split())

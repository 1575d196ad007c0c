"""What is understood of example sets, and what to mend before they are fitted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .brevity import brief, brief_names
from .examples import Example, check_disjoint, read_examples
from .overlap import nearly_the_same, shared_pictures


# With fewer groups than this, or fewer wordings, little can be held out.
_FEW_GROUPS, _FEW_WORDINGS = 19, 6


@dataclass(frozen=True)
class SetSummary:
    """
    One set.

    Attributes:
        name: The set's name, such as "forget".
        with_image, text_only: Numbers of examples.
        groups: How many groups.
        groups_asked: How many of them are asked about by modality, ("image", "text").
        wordings: How many wordings.
        answers: How many examples have an answer.
        concepts: How many concepts are named.
    """

    name: str
    with_image: int
    text_only: int
    groups: int
    groups_asked: tuple[int, int]
    wordings: int
    answers: int
    concepts: int

    @classmethod
    def of(cls, name: str, examples: Sequence[Example]) -> SetSummary:
        image, text = ([e for e in examples if bool(e.images) is with_image] for with_image in (True, False))
        return cls(
            name=name,
            with_image=len(image),
            text_only=len(text),
            groups=len({e.group for e in examples}),
            groups_asked=(len({e.group for e in image}), len({e.group for e in text})),
            wordings=len({e.wording for e in examples}),
            answers=sum(bool(e.answers) for e in examples),
            concepts=len({e.concept for e in examples if e.concept is not None}),
        )


@dataclass(frozen=True)
class DataCheck:
    """
    What was understood of example sets. `print(check)` is a page; it names groups, so it is for who made them.

    Attributes:
        sets: The sets.
        problems: What to mend or to add, the most important first; none where nothing was found.
    """

    sets: list[SetSummary]
    problems: list[str]

    def __str__(self) -> str:
        head = "set      with image  text only  groups  wordings  answers  concepts"
        lines = [
            f"{one.name:8s} {one.with_image:10d}  {one.text_only:9d}  {one.groups:6d}  {one.wordings:8d}  "
            f"{one.answers:7d}  {one.concepts:8d}"
            for one in self.sets
        ]
        retain = next(one for one in self.sets if one.name == "retain")
        alphas = [
            f"{1 / (n + 1):.3f} for prompts {kind}"
            for n, kind in zip(retain.groups_asked, ("with an image", "of text only"))
            if n
        ]
        told = [f"- {problem}" for problem in self.problems] or ["Nothing to mend was found."]
        return "\n".join(
            [head, *lines, "", f"The smallest alpha that the groups support: {', '.join(alphas)}.", "", *told]
        )


def check_sets(sets: Mapping[str, Iterable[Mapping[str, Any]]]) -> DataCheck:
    """
    Read example sets as `fit` does, and say what was understood.

    Args:
        sets: The sets by name, as `read_imagefolder` gives them: `forget` and `retain`, and others.

    Raises:
        TypeError, ValueError: Where `fit` would: an example is not of the form, a picture cannot be read, or an
            example is in both sets.
    """
    read = {name: read_examples(examples, name) for name, examples in sets.items()}
    forget, retain = read["forget"], read["retain"]
    check_disjoint(forget, retain)
    summaries = {name: SetSummary.of(name, examples) for name, examples in read.items()}
    problems = [
        *_of_both(forget, retain),
        *_of_names([*forget, *retain]),
        *_missing(summaries["forget"], summaries["retain"]),
        *_unlike(forget, retain),
    ]
    return DataCheck(list(summaries.values()), problems)


def _of_both(forget: Sequence[Example], retain: Sequence[Example]) -> list[str]:
    problems = []
    if overlap := shared_pictures(forget, retain):
        groups = {str(retain[i].group) for i in overlap.retained if retain[i].grouped}
        of = f" They are in the retained groups {brief_names(groups)}." if groups else ""
        problems.append(f"{overlap}{of}")
    both = {e.group for e in forget if e.grouped} & {e.group for e in retain if e.grouped}
    if both:
        problems.append(
            f"The groups {brief_names(both)} are in both sets: what is asked about them is forgotten and kept. Take "
            "them out of one, unless they are asked about different things."
        )
    return problems


def _of_names(examples: Sequence[Example]) -> list[str]:
    problems = []
    for what in ("group", "wording", "concept"):
        labels = [getattr(e, what) for e in examples if getattr(e, what) is not None]
        for alike in nearly_the_same(labels):
            problems.append(f"{what.capitalize()}s that are one but for case, spaces or type: {brief(alike)}.")
    return problems[:10]


def _missing(forget: SetSummary, retain: SetSummary) -> list[str]:
    problems = []
    for i, kind in enumerate(("with an image", "of text only")):
        count = forget.with_image if i == 0 else forget.text_only
        kept = retain.with_image if i == 0 else retain.text_only
        if count and not kept:
            problems.append(f"Nothing {kind} is retained: prompts {kind} will not be forgotten. Add some.")
        elif kept and not count:
            problems.append(f"Nothing {kind} is to be forgotten: prompts {kind} will stay answered. Add some.")
        elif count and retain.groups_asked[i] < _FEW_GROUPS:
            problems.append(
                f"{retain.groups_asked[i]} groups {kind} are retained: add others; {_FEW_GROUPS} support alpha = 0.05."
            )
    if forget.wordings < _FEW_WORDINGS:
        problems.append(f"The forget set has {forget.wordings} wordings: add others, {_FEW_WORDINGS} or more.")
    if not forget.answers:
        problems.append("No forget example has an 'answer': how many are still given cannot be counted.")
    return problems


def _unlike(forget: Sequence[Example], retain: Sequence[Example]) -> list[str]:
    kept = {e.wording for e in retain}
    unasked = sum(e.wording not in kept for e in forget)
    if unasked * 2 <= len(forget):
        return []
    return [
        f"{unasked} of {len(forget)} forget examples are asked in a wording in which nothing is retained: the gate "
        "may learn the words. Ask the same about others, with the same 'wording'."
    ]

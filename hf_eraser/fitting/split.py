"""Which examples fit the gate and which judge it: never two of one group, nor two of one wording, on both sides."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..data import Example


@dataclass(frozen=True)
class Split:
    """
    Positions of the examples on each side; retained examples that mix sides (a held-out group asked in a fitted
    wording) are on neither.

    Attributes:
        fit_forget, held_forget: Positions in the forget set. The same people are on both sides, asked differently.
        fit_retain, held_retain: Positions in the retain set. No group is on both sides.
        by: What was split by, in words.
        unsplit: Whether, in some modality, the forget examples that fit had to judge as well, being too few.
    """

    fit_forget: list[int]
    held_forget: list[int]
    fit_retain: list[int]
    held_retain: list[int]
    by: str
    unsplit: bool


def split_examples(
    forget: Sequence[Example], retain: Sequence[Example], *, rng: np.random.Generator, held_share: float = 0.4
) -> Split:
    """
    Split by group and by wording.

    Args:
        forget: The forget set.
        retain: The retain set.
        rng: Source of the split.
        held_share: The share of groups, and of wordings, that is held out.
    """
    shared = _shared(example.wording for example in (*forget, *retain))
    held_wordings = _choose({w for w in shared if shared[w] > 1}, held_share, rng)

    fit_forget, held_forget = [], []
    for group in dict.fromkeys(example.group for example in forget):
        members = [i for i, example in enumerate(forget) if example.group == group]
        held = {i for i in members if forget[i].wording in held_wordings}
        # A wording of this group alone tells nothing about others: such ones are split within the group.
        own = [i for i in members if shared[forget[i].wording] == 1]
        held |= set(rng.permutation(own)[: int(held_share * len(own))].tolist()) if len(own) > 1 else set()
        if len(held) == len(members):
            held = set()
        held_forget += sorted(held)
        fit_forget += [i for i in members if i not in held]

    # A group, such as a person, may be asked about with and without pictures; it is on one side for both.
    modalities: dict[Hashable, set[bool]] = {}
    for example in retain:
        modalities.setdefault(example.group, set()).add(bool(example.images))
    held_groups: set[Hashable] = set()
    for kind in ({True}, {False}, {True, False}):
        held_groups |= _choose({group for group in modalities if modalities[group] == kind}, held_share, rng)
    fit_retain, held_retain = [], []
    for i, example in enumerate(retain):
        in_held_group = example.group in held_groups
        splits_wordings = shared[example.wording] > 1 and bool(held_wordings)
        in_held_wording = example.wording in held_wordings if splits_wordings else in_held_group
        if in_held_group and in_held_wording:
            held_retain.append(i)
        elif not in_held_group and not in_held_wording:
            fit_retain.append(i)
    unsplit = False
    for with_image in (True, False):
        if not any(bool(forget[i].images) is with_image for i in held_forget):
            same = [i for i in fit_forget if bool(forget[i].images) is with_image]
            held_forget += same
            unsplit |= bool(same)
    grouped = any(example.grouped for example in retain)
    by = "group" if grouped else ("picture" if any(example.images for example in retain) else "example")
    if held_wordings:
        by += " and wording"
    return Split(fit_forget, held_forget, fit_retain, held_retain, by, unsplit)


def _shared(wordings: Iterable[Hashable]) -> dict[Hashable, int]:
    counts: dict[Hashable, int] = {}
    for wording in wordings:
        counts[wording] = counts.get(wording, 0) + 1
    return counts


def _choose(items: set[Hashable], share: float, rng: np.random.Generator) -> set[Hashable]:
    ordered = sorted(items, key=repr)  # sets of strings have another order in each process
    chosen = rng.permutation(len(ordered))[: round(share * len(ordered))]
    return {ordered[i] for i in chosen}

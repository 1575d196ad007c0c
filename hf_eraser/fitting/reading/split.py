"""Which examples fit the gates of a fold and which judge them: never two of one group, nor two of one wording."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...data.examples import Example


FOLDS = 3


@dataclass(frozen=True)
class Role:
    """
    What one example does in cross-fitting.

    Attributes:
        fits: The folds whose gates are fitted on it.
        judges: The fold whose gates it judges; None for an example that mixes sides everywhere (its group belongs to
            one fold, its wording to another).
    """

    fits: frozenset[int]
    judges: int | None


@dataclass(frozen=True)
class Split:
    """
    The roles of all examples in `FOLDS` folds.

    Attributes:
        forget, retain: The role of each example.
        by: What was split by, in words.
        unsplit: Whether, in some modality, the forget examples that fit had to judge as well, being too few.
    """

    forget: list[Role]
    retain: list[Role]
    by: str
    unsplit: bool


def split_examples(forget: Sequence[Example], retain: Sequence[Example], *, rng: np.random.Generator) -> Split:
    """
    Split by group and by wording: what judges a fold shares neither with what fitted it.

    What is to be forgotten is known beforehand, so forget examples are split by wording only.

    Args:
        forget: The forget set.
        retain: The retain set.
        rng: Source of the split.
    """
    wording_fold = wording_folds([*forget, *retain], rng)
    forget_roles, unsplit = roles_of_forgotten(forget, wording_fold, rng)

    # A group, such as a person, may be asked about with and without pictures; it is in one fold for both.
    modalities: dict[Hashable, set[bool]] = {}
    for example in retain:
        modalities.setdefault(example.group, set()).add(bool(example.images))
    group_fold: dict[Hashable, int] = {}
    for kind in ({True}, {False}, {True, False}):
        group_fold |= _folds({group for group in modalities if modalities[group] == kind}, rng)
    retain_roles = []
    for example in retain:
        fold = group_fold[example.group]
        fold_of_wording = wording_fold.get(example.wording, fold)
        retain_roles.append(
            Role(_all_but(fold) & _all_but(fold_of_wording), fold if fold_of_wording == fold else None)
        )
    grouped = any(example.grouped for example in retain)
    by = "group" if grouped else ("picture" if any(example.images for example in retain) else "example")
    return Split(forget_roles, retain_roles, f"{by} and wording" if wording_fold else by, unsplit)


def wording_folds(examples: Sequence[Example], rng: np.random.Generator) -> dict[Hashable, int]:
    """The fold of each wording that several examples have."""
    counts = Counter(example.wording for example in examples)
    shared = {wording for wording, count in counts.items() if count > 1}
    # With one wording for all there is none to hold out.
    return _folds(shared, rng) if len(shared) > 1 else {}


def roles_of_forgotten(
    forget: Sequence[Example], wording_fold: Mapping[Hashable, int], rng: np.random.Generator
) -> tuple[list[Role], bool]:
    """The roles of forget examples, and whether, in some modality, those that fit had to judge as well."""
    forget_fold: list[int | None] = [wording_fold.get(example.wording) for example in forget]
    for group in dict.fromkeys(example.group for example in forget):
        members = [i for i, example in enumerate(forget) if example.group == group]
        # A wording of this group alone tells nothing about others: such ones are split within the group.
        own = rng.permutation([i for i in members if forget[i].wording not in wording_fold]).tolist()
        for position, i in enumerate(own):
            forget_fold[i] = position % FOLDS
        if len({forget_fold[i] for i in members}) == 1:
            # Held out all at once, the group would be unknown to the gates that it judges.
            for i in members:
                forget_fold[i] = None
    forget_roles = [Role(_all_but(fold), fold) for fold in forget_fold]
    unsplit = False
    for concept, with_image in itertools.product(dict.fromkeys(e.concept for e in forget), (True, False)):
        alike = [i for i, e in enumerate(forget) if e.concept == concept and bool(e.images) is with_image]
        if alike and all(forget_fold[i] is None for i in alike):
            unsplit = True
            for position, i in enumerate(alike):
                forget_roles[i] = Role(_all_but(None), position % FOLDS)
    return forget_roles, unsplit


def general_folds(general: Sequence[Example], *, rng: np.random.Generator) -> list[int]:
    """The fold that each prompt of general traffic judges, one for all of a group; it fits the others."""
    folds = _folds({example.group for example in general}, rng)
    return [folds[example.group] for example in general]


def _all_but(fold: int | None) -> frozenset[int]:
    return frozenset(range(FOLDS)) - {fold}


def _folds(items: Iterable[Hashable], rng: np.random.Generator) -> dict[Hashable, int]:
    ordered = sorted(items, key=repr)  # sets of strings have another order in each process
    return {ordered[i]: position % FOLDS for position, i in enumerate(rng.permutation(len(ordered)))}

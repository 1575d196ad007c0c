"""
The search for the gates: every place on a sample of the examples, then the chosen places on all of them.

What is kept of a place grows with the width of the model and with the examples, and so does the time to solve a gate
there; places are many. So what they are told apart by is bounded, whatever the model.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...data.examples import Example
from ..reading.views import Source
from ..stages import Stages
from .choosing import Chosen, choose_gates
from .one_or_each import choose_one_or_each
from .places import Place
from .trying import Fitted, judge_gates


# Numbers that are kept of one class, modality, place and view; the fewest retained, general and forget examples, and
# of each concept.
_NUMBERS, _FEWEST, _FEWEST_FORGET, _OF_CONCEPT = 2**20, 512, 96, 4


def search_gates(
    source: Source,
    *,
    hidden_size: int,
    undecided: bool,
    each: bool,
    at_least: float | None,
    apart: int | None,
    stages: Stages,
    **how: Any,
) -> tuple[Fitted, Chosen]:
    """
    Try every gate, and choose.

    Args:
        source: The examples and the model.
        hidden_size: d.
        undecided: Whether one gate for all that is forgotten is tried beside one for each concept.
        each: Whether each layer gets gates of its own.
        at_least: As in `choose_gates`.
        apart: The fold whose judges judge nothing here.
        stages: What is done already.
        how: The other arguments of `judge_gates`.

    Returns:
        What was tried, with what the chosen gates were solved from, and the chosen ones.
    """
    concepts: list[int | None] = [None, *source.concepts] if undecided else source.concepts
    sample = bounded(source, hidden_size)

    def search() -> tuple[Fitted, Chosen]:
        fitted = judge_gates(sample, hidden_size=hidden_size, apart=apart, concepts=concepts, **how)
        if undecided and fitted.judged:
            fitted, chosen = choose_one_or_each(fitted, each_layer=each, at_least=at_least)
        else:
            chosen = choose_gates(fitted.judged, each=each, at_least=at_least)
        if sample is not source:
            for of_place in fitted.judged.values():
                for one in of_place:
                    one.candidate.solutions.clear()  # each is as wide as the model, and solved anew
            return replace(fitted, readings={}), chosen
        return replace(fitted, readings={place: fitted.readings[place] for place in _places(chosen)}), chosen

    fitted, chosen = stages("search", search)
    if sample is source:
        return fitted, chosen

    def solve_again() -> tuple[Fitted, Chosen]:
        every = judge_gates(
            source, hidden_size=hidden_size, apart=apart, concepts=fitted.concepts, only=_places(chosen), **how
        )
        return (
            replace(every, judged={**fitted.judged, **every.judged}),
            choose_gates(every.judged, each=each, at_least=at_least),
        )

    return stages("gates", solve_again)


def _places(chosen: Chosen) -> set[Place]:
    return {gates.place for by_modality in chosen.together.values() for gates in by_modality.values()}


def bounded(source: Source, hidden_size: int) -> Source:
    """The source with no more examples than places are told apart by: itself, if it has no more."""
    most = max(_FEWEST, _NUMBERS // hidden_size)
    fewest = max(_FEWEST_FORGET, _OF_CONCEPT * len(source.concepts))
    forget = _drawn(source.forget, max(fewest, most // 4), source.seed, by_concept=True)
    retain = _drawn(source.retain, most, source.seed)
    general = _drawn(source.general, most, source.seed)
    if (len(forget), len(retain), len(general)) == (len(source.forget), len(source.retain), len(source.general)):
        return source
    split = source.split
    return replace(
        source,
        forget=[source.forget[i] for i in forget],
        retain=[source.retain[i] for i in retain],
        split=replace(split, forget=[split.forget[i] for i in forget], retain=[split.retain[i] for i in retain]),
        general=[source.general[i] for i in general],
        general_folds=[source.general_folds[i] for i in general],
    )


def _drawn(examples: Sequence[Example], most: int, seed: int, *, by_concept: bool = False) -> list[int]:
    """
    The positions, in order, of at most so many examples of each modality: of all groups, and before that of all
    concepts, as many as can be, so that there are as many to be told apart and to calibrate by.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(examples)).tolist()
    found: list[int] = []
    for with_image in (True, False):
        rank: dict[Hashable, int] = {}
        turns = []
        for i in (i for i in order if bool(examples[i].images) is with_image):
            example = examples[i]
            turn = rank[example.group] = rank.get(example.group, -1) + 1
            turns.append((turn, i))
        if by_concept:
            of_concept: dict[Hashable, int] = {}
            ranked = []
            for _, i in sorted(turns, key=lambda pair: pair[0]):
                turn = of_concept[examples[i].concept] = of_concept.get(examples[i].concept, -1) + 1
                ranked.append((turn, i))
            turns = ranked
        found += [i for _, i in sorted(turns, key=lambda pair: pair[0])[:most]]
    return sorted(found)

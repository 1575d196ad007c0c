"""One gate for all that is forgotten, or one for each group of it: whichever recognises the worst group better."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

import torch

from ...tuner.gate import Modality
from .choosing import Chosen, choose_gates
from .judging import Together, room_above
from .trying import Fitted


def choose_one_or_each(fitted: Fitted, *, each_layer: bool, at_least: float | None) -> tuple[Fitted, Chosen]:
    """
    Choose gates for all groups together and gates for each, and of the two those whose worst group, in its worse
    modality, is farther above the threshold on held-out examples.

    Args:
        fitted: All gates that were tried, for all groups together (the concept None) and for each.
        each_layer, at_least: As `each` and `at_least` of `choose_gates`.

    Returns:
        What was tried, without the other's gates, and the chosen ones.
    """
    numbers = [concept for concept in fitted.concepts if concept is not None]

    def choose(concepts: Sequence[int | None]) -> Chosen:
        return choose_gates(_only(fitted, concepts).judged, each=each_layer, at_least=at_least)

    one, each = choose([None]), choose(numbers)
    rooms = [_worst(chosen, fitted.judging_concepts) for chosen in (one, each)]
    complete = all(
        {gate.candidate.concept for gate in gates.gates} == set(fitted.judging_concepts[modality])
        for by_modality in each.together.values()
        for modality, gates in by_modality.items()
    )
    # Gates of some groups only would leave the others answered.
    chosen_concepts: Sequence[int | None] = numbers if complete and rooms[1] > rooms[0] else [None]
    return _only(fitted, chosen_concepts), each if chosen_concepts is numbers else one


def _only(fitted: Fitted, concepts: Sequence[int | None]) -> Fitted:
    judged = {
        place: [gate for gate in gates if gate.candidate.concept in concepts] for place, gates in fitted.judged.items()
    }
    return replace(fitted, judged={p: gates for p, gates in judged.items() if gates}, concepts=list(concepts))


def _worst(chosen: Chosen, groups: dict[Modality, list[Hashable]]) -> float:
    return min(
        _worst_group(gates, groups[modality])
        for by_modality in chosen.together.values()
        for modality, gates in by_modality.items()
    )


def _worst_group(gates: Together, groups: list[Hashable]) -> float:
    gate, threshold = gates.gates[0], gates.thresholds.values[0]
    if gate.candidate.concept is not None:
        return gates.room
    rooms = []
    for group in dict.fromkeys(groups):
        own = torch.tensor([other == group for other in groups])
        rooms.append(room_above(gate.candidate.forget[own], gate.candidate.retain, threshold))
    return min(rooms)

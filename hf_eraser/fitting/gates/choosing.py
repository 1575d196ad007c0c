"""Where gates read, and each concept's parameter: the best of all that were tried."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from ...tuner.fields import Readout
from ...tuner.gate import Modality
from .judging import Judged, Together, together
from .places import Place


# What depends least on the wording comes first. A picture's tokens precede any word of the question. Where there are
# only words, their mean takes a new one at its face value; the last token is what the model itself makes of them.
_STEADINESS: dict[Modality, tuple[Readout, ...]] = {
    "image": ("image", "prompt", "text", "joined", "last"),
    "text": ("joined", "last", "prompt"),
}

# A gate is as good as the best one from this share of its margin on; where the best one has none, from this much less
# of the forget inputs on.
_NEAR_MARGIN, _NEAR_RATE = 0.5, 0.02


@dataclass(frozen=True)
class Chosen:
    """
    Attributes:
        readouts: What the gate reads, by modality.
        gate_layers: Where, by modality; None where each layer decides for itself.
        together: The gates of each layer that has some, by modality.
    """

    readouts: dict[Modality, Readout]
    gate_layers: dict[Modality, int] | None
    together: dict[int, dict[Modality, Together]]


def choose_gates(judged: dict[Place, list[Judged]], *, each: bool, at_least: float | None = None) -> Chosen:
    """
    Choose in each modality a layer, what is read there, and each concept's parameter.

    Gates are judged as they will be delivered: all concepts at one place, with thresholds that hold for all of them,
    by the concept for which they are worst; see `choose_places`.

    Args:
        judged: All gates that were tried.
        each: Whether each layer gets a gate of its own, all with one readout a modality.
        at_least: As in `together`.

    Raises:
        ValueError: If nothing could be tried.
    """
    if not judged:
        raise ValueError(
            "No gate could be fitted: `forget` and `retain` have no modality (prompts with an image, prompts without) "
            "in common with at least two groups of retained examples in it."
        )
    places = {
        place: together(best_of_each_concept(candidates), at_least=at_least) for place, candidates in judged.items()
    }
    return choose_places(places, each=each)


def choose_places(places: Mapping[Place, Together], *, each: bool) -> Chosen:
    """
    Choose where gates read.

    The better of two places is the one where the weakest held-out forget inputs, attacked ones among them, are farther
    above the threshold, in standard deviations of the retained scores: the margin. Where they are below it, the better
    one is that whose gates more forget inputs open. Of places with at least half the best margin, or which open for
    hardly fewer, those are taken that read what depends least on the wording: however many wordings are held out,
    users will find others.

    Args:
        places: The gates at each place.
        each: Whether each layer gets a gate of its own, all with one readout a modality.
    """
    modalities = sorted({place.modality for place in places})
    by_modality = {m: [gates for place, gates in places.items() if place.modality == m] for m in modalities}
    if each:
        layers = sorted({place.layer for place in places})
        chosen: dict[Modality, Readout] = {}
        for m, tried in by_modality.items():
            aucs: dict[Readout, float] = {}
            for gates in tried:
                aucs[gates.place.readout] = aucs.get(gates.place.readout, 0.0) + gates.auc
            chosen[m] = max(aucs, key=lambda readout: aucs[readout])
        return Chosen(chosen, None, {i: {m: places[Place(i, chosen[m], m)] for m in modalities} for i in layers})
    best = {m: _steadiest(tried) for m, tried in by_modality.items()}
    at: dict[int, dict[Modality, Together]] = {}
    for m, gates in best.items():
        at.setdefault(gates.place.layer, {})[m] = gates
    return Chosen(
        {m: gates.place.readout for m, gates in best.items()}, {m: g.place.layer for m, g in best.items()}, at
    )


def best_of_each_concept(candidates: Sequence[Judged]) -> list[Judged]:
    """
    Of each concept the best gate among those that have seen least general traffic, if they are as good as any, or
    nearly: what is like the forget set is told from it best by what is like it too.
    """
    of_concept: dict[Hashable, list[Judged]] = {}
    for judgement in candidates:
        of_concept.setdefault(judgement.candidate.concept, []).append(judgement)
    found = []
    for tried in of_concept.values():
        enough = _enough(max(judgement.room for judgement in tried))
        least = min(judgement.candidate.general_share for judgement in tried if judgement.room >= enough)
        found.append(max((j for j in tried if j.candidate.general_share == least), key=lambda j: j.key))
    return found


def _enough(best: float) -> float:
    """The room from which on a gate is as good as the one with the most."""
    return _NEAR_MARGIN * best if best > 0 else best - _NEAR_RATE


def _steadiest(tried: Sequence[Together]) -> Together:
    """Of the places that are as good as the best one, or nearly, the one that depends least on the wording."""
    enough = _enough(max(gates.room for gates in tried))

    def key(gates: Together) -> tuple[int, int, tuple[float, float]]:
        # Where the classes overlap, such small differences are chance; early layers hold the words themselves.
        early = 0 if gates.room > 0 else -gates.place.layer
        return -_STEADINESS[gates.place.modality].index(gates.place.readout), early, gates.key

    return max((gates for gates in tried if gates.room >= enough), key=key)

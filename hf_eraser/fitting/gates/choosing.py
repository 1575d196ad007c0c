"""The gate of an adapter: every candidate judged, the best chosen, its tensors made."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.examples import Example
from ...tuner.config import GateMode, Readout, readout_width
from ...tuner.gate import TEXT_ONLY, WITH_IMAGE, Modality
from ..reading.split import FOLDS
from ..reading.views import FORGET_COPIES, RETAIN_COPIES, Source, View
from ..report.results import Calibration
from .calibration import group_mean, supported_alpha
from .judging import Candidate, Judged, joint_bounds, judge, score
from .places import Place, places_of, text_readout
from .sample import Sample
from .solving import ALL, Parameter, Readings, Solution, collect, solve


# What depends least on the wording comes first. A picture's tokens precede any word of the question. Where there are
# only words, their mean takes a new one at its face value; the last token is what the model itself makes of them.
_STEADINESS: dict[Modality, tuple[Readout, ...]] = {
    "image": ("image", "prompt", "text", "joined", "last"),
    "text": ("joined", "last", "prompt"),
}

# A gate is as good as the best one from this share of its margin on; where the best one has none, from this much less
# of the forget inputs on.
_NEAR_MARGIN, _NEAR_RATE = 0.5, 0.02

_AXIS: dict[Modality, int] = {"image": WITH_IMAGE, "text": TEXT_ONLY}


@dataclass(frozen=True)
class Fitted:
    """
    Every gate that was tried.

    Attributes:
        judged: The gates, by place; there is none in a modality for which there are too few examples to judge.
        readings: What they were solved from.
        parameter, centred: How they were solved.
        concepts: What is to be forgotten, each with a gate of its own.
        trial_fold: The fold that most forget examples judge.
        samples: Some of the readouts that judged them, of forget and of retained examples.
        judging_concepts: The concept of each forget example that judged, in the order of its modality's scores.
    """

    judged: dict[Place, list[Judged]]
    readings: dict[Place, Readings]
    parameter: Parameter
    centred: bool
    concepts: list[int | None]
    trial_fold: int
    samples: dict[str, Sample]
    judging_concepts: dict[Modality, list[Hashable]]

    def solution(self, candidate: Candidate, fold: int) -> Solution:
        """A candidate's gate for a fold; for `ALL` examples where that is asked for, or too few fit the fold."""
        if fold in candidate.solutions:
            return candidate.solutions[fold]
        known = self.readings[candidate.place]
        value, concept = candidate.value, candidate.concept
        return solve(known, ALL, self.parameter, [value], centred=self.centred, concept=concept)[0]


def judge_gates(
    source: Source,
    *,
    layers: Sequence[int],
    readouts: Sequence[Readout],
    parameter: Parameter,
    values: Sequence[float],
    hidden_size: int,
    alpha: float,
    centred: bool,
) -> Fitted:
    """Solve and judge every gate: one pass over the examples, one over those that judge, however many gates."""
    split = source.split
    of_concept = {(m, c): _folds(source, m, c) for m in _AXIS for c in source.concepts}
    # A concept has all the folds that the retained examples allow, or none.
    folds = {m: set().union(*(of_concept[m, c] for c in source.concepts)) for m in _AXIS}
    concepts = {m: [c for c in source.concepts if of_concept[m, c]] for m in _AXIS}
    places = [place for m in _AXIS if folds[m] for place in places_of(layers, readouts, m)]
    readings = {place: Readings(readout_width(place.readout, hidden_size)) for place in places}
    if not places:
        return Fitted({}, readings, parameter, centred, source.concepts, 0, {}, {})
    sets = (
        ("forget", source.forget, split.forget, FORGET_COPIES),
        ("retained", source.retain, split.retain, RETAIN_COPIES),
    )
    for name, examples, roles, copies in sets:
        views, of_view = source.views(examples, roles, copies=copies, judging=False)
        batches = source.read(examples, layers, views=views, description=f"Reading {name} examples")
        collect(readings, batches, of_view, _concepts(examples, views) if name == "forget" else None)

    candidates: dict[Place, list[Candidate]] = {}
    for place, known in readings.items():
        candidates[place] = []
        for concept in concepts[place.modality]:
            of_fold = {
                fold: solve(known, fold, parameter, values, centred=centred, concept=concept)
                for fold in folds[place.modality]
            }
            candidates[place] += [
                Candidate(place, concept, value, {fold: solved[i] for fold, solved in of_fold.items()})
                for i, value in enumerate(values)
            ]

    judging: dict[str, list[View]] = {}
    scored: dict[str, dict[Modality, list[int]]] = {}
    samples: dict[str, Sample] = {}
    for name, examples, roles, copies in sets:
        every, all_roles = source.views(examples, roles, copies=copies, judging=True)
        chosen = [
            (view, role)
            for view, role in zip(every, all_roles)
            if role.judges in folds["image" if examples[view.example].images else "text"]
        ]
        judging[name] = [view for view, _ in chosen]
        batches = source.read(examples, layers, views=judging[name], description=f"Judging by {name} examples")
        modalities: list[Modality] = ["image" if examples[view.example].images else "text" for view in judging[name]]
        samples[name] = Sample(modalities, seed=source.seed)
        batches = samples[name].watch(batches, places)
        of_view = [role for _, role in chosen]
        scored[name] = score(
            candidates, batches, of_view, _concepts(examples, judging[name]) if name == "forget" else None
        )
    # Thresholds are set by group.
    groups = {
        modality: [source.retain[judging["retained"][position].example].group for position in positions]
        for modality, positions in scored["retained"].items()
    }
    of_forget = _concepts(source.forget, judging["forget"])
    judging_concepts = {
        m: [of_forget[position] for position in positions] for m, positions in scored["forget"].items()
    }
    judged = {
        place: [judge(candidate, groups[place.modality], alpha=alpha) for candidate in solved]
        for place, solved in candidates.items()
    }
    trial_fold = max(range(FOLDS), key=lambda fold: sum(role.judges == fold for role in split.forget))
    return Fitted(judged, readings, parameter, centred, source.concepts, trial_fold, samples, judging_concepts)


def _concepts(examples: Sequence[Example], views: Sequence[View]) -> list[Hashable]:
    return [examples[view.example].concept for view in views]


def _folds(source: Source, modality: Modality, concept: Hashable) -> set[int]:
    """The folds with examples of both classes to fit them; none where then nothing could be judged."""
    roles = {
        name: [
            role
            for example, role in zip(examples, all_roles)
            if bool(example.images) is (modality == "image") and (name == "retain" or example.concept == concept)
        ]
        for name, examples, all_roles in (
            ("forget", source.forget, source.split.forget),
            ("retain", source.retain, source.split.retain),
        )
    }
    folds = {
        fold
        for fold in range(FOLDS)
        if all(any(fold in role.fits for role in of_class) for of_class in roles.values())
    }
    judged = all(any(role.judges in folds for role in of_class) for of_class in roles.values())
    return folds if judged else set()


@dataclass(frozen=True)
class Chosen:
    """
    Attributes:
        readouts: What the gate reads, by modality.
        gate_layer: Where; None where each layer decides for itself.
        judged: The gates of each layer that has some, by modality, one for each concept.
    """

    readouts: dict[Modality, Readout]
    gate_layer: int | None
    judged: dict[int, dict[Modality, list[Judged]]]


def choose_gates(judged: dict[Place, list[Judged]], *, each: bool) -> Chosen:
    """
    Choose a layer, and in each modality what is read there and the parameter.

    The better of two gates is the one whose weakest held-out forget inputs, attacked ones among them, are farther
    above the conformal threshold, in standard deviations of the retained scores: its margin. Where they are below it,
    the better one is that which more forget inputs open. Of gates with at least half the best margin of any layer and
    readout, or which open for hardly fewer, those are taken that read what depends least on the wording: however many
    wordings are held out, users will find others. Of layers that are alike in this, the one whose worse modality does
    better is taken. All concepts are read at one place, which is as good as it is for the worst of them; each has its
    own parameter.

    Args:
        judged: All gates that were tried.
        each: Whether each layer gets a gate of its own, all with one readout a modality.

    Raises:
        ValueError: If nothing could be tried.
    """
    if not judged:
        raise ValueError(
            "No gate could be fitted: `forget` and `retain` have no modality (prompts with an image, prompts without) "
            "in common with at least two groups of retained examples in it."
        )
    of_concepts = {place: _best_of_each_concept(candidates) for place, candidates in judged.items()}
    best = {place: min(gates, key=lambda judgement: judgement.key) for place, gates in of_concepts.items()}
    modalities = sorted({place.modality for place in best})
    layers = sorted({place.layer for place in best})

    def readouts(modality: Modality) -> list[Readout]:
        return list(dict.fromkeys(place.readout for place in best if place.modality == modality))

    if each:
        chosen = {
            modality: max(
                readouts(modality), key=lambda r: sum(best[Place(i, r, modality)].result.auc for i in layers)
            )
            for modality in modalities
        }
        each_layer = {i: {m: of_concepts[Place(i, chosen[m], m)] for m in modalities} for i in layers}
        return Chosen(chosen, None, each_layer)

    enough = {m: _enough(max(gate.room for place, gate in best.items() if place.modality == m)) for m in modalities}

    def at(layer: int) -> dict[Modality, Judged]:
        return {m: _steadiest([best[Place(layer, r, m)] for r in readouts(m)], enough[m]) for m in modalities}

    def key(layer: int) -> tuple[int, int, tuple[float, float]]:
        gates = at(layer)
        near = sum(gate.room >= enough[m] for m, gate in gates.items())
        return near, -sum(map(_unsteadiness, gates.values())), min(gate.key for gate in gates.values())

    layer = max(layers, key=key)
    places = {m: gate.candidate.place for m, gate in at(layer).items()}
    by_modality = {m: of_concepts[place] for m, place in places.items()}
    return Chosen({m: place.readout for m, place in places.items()}, layer, {layer: by_modality})


def _best_of_each_concept(candidates: Sequence[Judged]) -> list[Judged]:
    best: dict[Hashable, Judged] = {}
    for judgement in candidates:
        rival = best.setdefault(judgement.candidate.concept, judgement)
        if judgement.key > rival.key:
            best[judgement.candidate.concept] = judgement
    return list(best.values())


def _enough(best: float) -> float:
    """The room from which on a gate is as good as the one with the most."""
    return _NEAR_MARGIN * best if best > 0 else best - _NEAR_RATE


def _steadiest(gates: Sequence[Judged], enough: float) -> Judged:
    """The gate with room enough that depends least on the wording; the best one where none has."""
    near = [judgement for judgement in gates if judgement.room >= enough]
    return min(near, key=_unsteadiness) if near else max(gates, key=lambda judgement: judgement.key)


def _unsteadiness(judged: Judged) -> int:
    place = judged.candidate.place
    return _STEADINESS[place.modality].index(place.readout)


@dataclass(frozen=True)
class GateTensors:
    """
    What an adapter needs of its gates.

    Attributes:
        readout, text_readout, gate_layer: As in `SteeringAdapterConfig`.
        weight: (2, k, d) by layer, (2, k, 2 d) where a readout is `"joined"`, one gate for each concept, float32.
        bounds: (2, k, 2) by layer, float32.
        calibration: How the bounds came about, by modality; of the first layer, if there are several.
        of_concept: The same for each concept.
    """

    readout: Readout
    text_readout: Readout | None
    gate_layer: int | None
    weight: dict[int, Tensor]
    bounds: dict[int, Tensor]
    calibration: dict[str, Calibration]
    of_concept: list[dict[str, Calibration]]


def gate_tensors(chosen: Chosen, fitted: Fitted, *, gate: GateMode, hidden_size: int, fold: int = ALL) -> GateTensors:
    """
    Turn the chosen gates into an adapter's tensors; a modality without a gate is never steered.

    Of several concepts' gates, the thresholds are such that hardly any retained input opens one of them.

    Args:
        chosen: The chosen gates.
        fitted: What they were chosen from.
        gate: How a score becomes a gate.
        hidden_size: d.
        fold: The fold whose gates are taken, which some examples judge; the default are those fitted on all examples.
    """
    weights, bounds = {}, {}
    calibration: dict[str, Calibration] = {}
    of_concept: list[dict[str, Calibration]] = [{} for _ in fitted.concepts]
    width = max(readout_width(readout, hidden_size) for readout in chosen.readouts.values())
    for layer, by_modality in chosen.judged.items():
        weight = torch.zeros(2, len(fitted.concepts), width)
        bound = torch.full((2, len(fitted.concepts), 2), torch.inf)
        for modality, gates in by_modality.items():
            groups, alpha, axis = gates[0].groups, gates[0].alpha, _AXIS[modality]
            opened: list[tuple[Tensor, Tensor]] = []
            for judged, limits in zip(gates, joint_bounds(gates, gate)):
                candidate = judged.candidate
                solution = fitted.solution(candidate, fold)
                row = fitted.concepts.index(candidate.concept)
                weight[axis, row, : len(solution.weight)] = solution.weight.to(torch.float32)
                bound[axis, row] = torch.tensor([limits.low, limits.high]) + solution.offset
                opened.append((candidate.forget > limits.low, candidate.retain > limits.low))
                own = _calibration(bound[axis, row], *opened[-1], groups, alpha)
                of_concept[row].setdefault(modality, own)
            forget_opened = torch.cat([of_forget for of_forget, _ in opened])
            retain_opened = torch.stack([of_retain for _, of_retain in opened]).any(dim=0)
            own_bounds = bound[axis, 0] if len(gates) == 1 else torch.full((2,), torch.nan)
            calibration.setdefault(modality, _calibration(own_bounds, forget_opened, retain_opened, groups, alpha))
        weights[layer], bounds[layer] = weight, bound
    text: Readout | None = chosen.readouts.get("text")
    readout = chosen.readouts.get("image", text or "prompt")
    same = text is None or text == text_readout(readout)
    return GateTensors(readout, None if same else text, chosen.gate_layer, weights, bounds, calibration, of_concept)


def _calibration(
    bounds: Tensor, forget: Tensor, retain: Tensor, groups: Sequence[Hashable], alpha: float
) -> Calibration:
    """`forget` and `retain` tell for which held-out examples the gate opens."""
    n_groups = len(set(groups))
    return Calibration(
        n_groups=n_groups,
        alpha=alpha,
        supported_alpha=supported_alpha(n_groups),
        low=float(bounds[0]),
        high=float(bounds[1]),
        forget_rate=float(forget.double().mean()),
        false_rate=group_mean(retain.double(), groups),
    )

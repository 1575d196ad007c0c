"""The gate of an adapter: every candidate judged, the best chosen, its tensors made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import GateMode, Readout
from ..gate import TEXT_ONLY, WITH_IMAGE
from .calibration import group_mean, supported_alpha
from .candidates import (
    ALL,
    Candidate,
    Judged,
    Parameter,
    Place,
    Readings,
    Solution,
    collect,
    judge,
    places_of,
    score,
    solve,
    text_readout,
)
from .held_out import Sample
from .report import Calibration, Modality
from .source import FORGET_COPIES, RETAIN_COPIES, Source, View
from .split import FOLDS


# What depends least on the wording comes first. A picture's tokens precede any word of the question. Where there are
# only words, their mean takes a new one at its face value; the last token is what the model itself makes of them.
_STEADINESS: dict[Modality, tuple[Readout, ...]] = {
    "image": ("image", "prompt", "text", "last"),
    "text": ("last", "prompt"),
}

# The share of the best gate's margin from which on another one is as good.
_NEAR = 0.5

_AXIS: dict[Modality, int] = {"image": WITH_IMAGE, "text": TEXT_ONLY}


@dataclass(frozen=True)
class Fitted:
    """
    Every gate that was tried.

    Attributes:
        judged: The gates, by place; there is none in a modality for which there are too few examples to judge.
        readings: What they were solved from.
        attacks: The attack on each forget score of a candidate, by modality; None for none.
        parameter, centred: How they were solved.
        trial_fold: The fold that most forget examples judge.
        samples: Some of the readouts that judged them, of forget and of retained examples.
    """

    judged: dict[Place, list[Judged]]
    readings: dict[Place, Readings]
    attacks: dict[Modality, list[int | None]]
    parameter: Parameter
    centred: bool
    trial_fold: int
    samples: dict[str, Sample]

    def solution(self, candidate: Candidate, fold: int) -> Solution:
        """A candidate's gate for a fold; for `ALL` examples where that is asked for, or too few fit the fold."""
        if fold in candidate.solutions:
            return candidate.solutions[fold]
        known = self.readings[candidate.place]
        return solve(known, ALL, self.parameter, [candidate.value], centred=self.centred)[0]


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
    folds = {modality: _folds(source, modality) for modality in _AXIS}
    places = [place for m in _AXIS if folds[m] for place in places_of(layers, readouts, m)]
    readings = {place: Readings(hidden_size) for place in places}
    if not places:
        return Fitted({}, readings, {}, parameter, centred, 0, {})
    for name, examples, roles, copies in (
        ("forget", source.forget, split.forget, FORGET_COPIES),
        ("retained", source.retain, split.retain, RETAIN_COPIES),
    ):
        views, of_view = source.views(examples, roles, copies=copies, judging=False)
        batches = source.read(examples, layers, views=views, description=f"Reading {name} examples")
        collect(readings, batches, of_view, forget=name == "forget")

    candidates: dict[Place, list[Candidate]] = {}
    for place, known in readings.items():
        of_fold = {f: solve(known, f, parameter, values, centred=centred) for f in folds[place.modality]}
        candidates[place] = [
            Candidate(place, value, {fold: solved[i] for fold, solved in of_fold.items()})
            for i, value in enumerate(values)
        ]

    judging: dict[str, list[View]] = {}
    scored: dict[str, dict[Modality, list[int]]] = {}
    samples: dict[str, Sample] = {}
    for name, examples, roles, copies in (
        ("forget", source.forget, split.forget, FORGET_COPIES),
        ("retained", source.retain, split.retain, RETAIN_COPIES),
    ):
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
        scored[name] = score(candidates, batches, [role for _, role in chosen], forget=name == "forget")
    # Thresholds are set by group.
    groups = {
        modality: [source.retain[judging["retained"][position].example].group for position in positions]
        for modality, positions in scored["retained"].items()
    }
    attacks = {
        modality: [judging["forget"][position].attack for position in positions]
        for modality, positions in scored["forget"].items()
    }
    judged = {
        place: [judge(candidate, groups[place.modality], alpha=alpha) for candidate in solved]
        for place, solved in candidates.items()
    }
    trial_fold = max(range(FOLDS), key=lambda fold: sum(role.judges == fold for role in split.forget))
    return Fitted(judged, readings, attacks, parameter, centred, trial_fold, samples)


def _folds(source: Source, modality: Modality) -> set[int]:
    """The folds with examples of both classes to fit them; none where then nothing could be judged."""
    roles = {
        name: [role for example, role in zip(examples, all_roles) if bool(example.images) is (modality == "image")]
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
        judged: The gate of each layer that has one, by modality.
    """

    readouts: dict[Modality, Readout]
    gate_layer: int | None
    judged: dict[int, dict[Modality, Judged]]


def choose_gates(judged: dict[Place, list[Judged]], *, each: bool) -> Chosen:
    """
    Choose a layer, and in each modality what is read there and the parameter.

    The better of two gates is the one whose weakest held-out forget inputs are farther above the conformal threshold,
    in standard deviations of the retained scores: its margin. Of gates with at least half the best margin of any layer
    and readout, those are taken that read what depends least on the wording: however many wordings are held out, users
    will find others. Of layers that are alike in this, the one whose worse modality does better is taken.

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
    best = {place: max(candidates, key=lambda judgement: judgement.key) for place, candidates in judged.items()}
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
        return Chosen(chosen, None, {i: {m: best[Place(i, chosen[m], m)] for m in modalities} for i in layers})

    enough = {
        m: _NEAR * max(judgement.result.margin for place, judgement in best.items() if place.modality == m)
        for m in modalities
    }

    def at(layer: int) -> dict[Modality, Judged]:
        return {m: _steadiest([best[Place(layer, r, m)] for r in readouts(m)], enough[m]) for m in modalities}

    def key(layer: int) -> tuple[int, int, tuple[float, float]]:
        gates = at(layer)
        near = sum(gate.result.margin >= enough[m] for m, gate in gates.items())
        return near, -sum(map(_unsteadiness, gates.values())), min(gate.key for gate in gates.values())

    layer = max(layers, key=key)
    gates = at(layer)
    return Chosen({m: gates[m].candidate.place.readout for m in modalities}, layer, {layer: gates})


def _steadiest(gates: Sequence[Judged], enough: float) -> Judged:
    """The gate with margin enough that depends least on the wording; the best one where none has."""
    near = [judgement for judgement in gates if judgement.result.margin >= enough]
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
        weight: (2, 1, d) by layer, float32.
        bounds: (2, 1, 2) by layer, float32.
        calibration: How the bounds came about, by modality; of the first layer, if there are several.
    """

    readout: Readout
    text_readout: Readout | None
    gate_layer: int | None
    weight: dict[int, Tensor]
    bounds: dict[int, Tensor]
    calibration: dict[str, Calibration]


def gate_tensors(chosen: Chosen, fitted: Fitted, *, gate: GateMode, hidden_size: int, fold: int = ALL) -> GateTensors:
    """
    Turn the chosen gates into an adapter's tensors; a modality without a gate is never steered.

    Args:
        chosen: The chosen gates.
        fitted: What they were chosen from.
        gate: How a score becomes a gate.
        hidden_size: d.
        fold: The fold whose gates are taken, which some examples judge; the default are those fitted on all examples.
    """
    weights, bounds = {}, {}
    calibration: dict[str, Calibration] = {}
    for layer, by_modality in chosen.judged.items():
        weight = torch.zeros(2, 1, hidden_size)
        bound = torch.full((2, 1, 2), torch.inf)
        for modality, judged in by_modality.items():
            candidate = judged.candidate
            forget = torch.tensor(candidate.forget_scores, dtype=torch.float64)
            retain = torch.tensor(candidate.retain_scores, dtype=torch.float64)
            limits = judged.limits(gate)
            solution = fitted.solution(candidate, fold)
            axis = _AXIS[modality]
            weight[axis, 0] = solution.weight.to(torch.float32)
            bound[axis, 0] = torch.tensor([limits.low, limits.high]) + solution.offset
            n_groups = len(set(judged.groups))
            calibration.setdefault(
                modality,
                Calibration(
                    n_groups=n_groups,
                    alpha=judged.alpha,
                    supported_alpha=supported_alpha(n_groups),
                    low=float(bound[axis, 0, 0]),
                    high=float(bound[axis, 0, 1]),
                    forget_rate=float((forget > limits.low).double().mean()),
                    false_rate=group_mean((retain > limits.low).double(), judged.groups),
                ),
            )
        weights[layer], bounds[layer] = weight, bound
    text: Readout | None = chosen.readouts.get("text")
    readout = chosen.readouts.get("image", text or "prompt")
    same = text is None or text == text_readout(readout)
    return GateTensors(readout, None if same else text, chosen.gate_layer, weights, bounds, calibration)

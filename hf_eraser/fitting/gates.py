"""The gate of an adapter: every candidate judged, the best chosen, its tensors made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import GateMode, Readout
from ..gate import TEXT_ONLY, WITH_IMAGE
from .calibration import Bounds, calibrate, supported_alpha
from .candidates import (
    Estimator,
    Judged,
    Place,
    Readings,
    collect,
    judge,
    places_of,
    score,
    solve,
    text_readout,
)
from .moments import Moments
from .report import Calibration, Modality
from .source import FORGET_COPIES, RETAIN_COPIES, Source


_AXIS: dict[Modality, int] = {"image": WITH_IMAGE, "text": TEXT_ONLY}


def judge_gates(
    source: Source,
    *,
    layers: Sequence[int],
    readouts: Sequence[Readout],
    estimator: Estimator,
    parameters: Sequence[float],
    hidden_size: int,
    alpha: float,
) -> dict[Place, list[Judged]]:
    """
    Solve and judge every gate: one pass over the fitting examples, one over the held-out ones, however many gates.

    Returns:
        By place; there is none in a modality for which there are no forget or no retained examples.
    """
    split = source.split
    fit_forget, held_forget = ([source.forget[i] for i in side] for side in (split.fit_forget, split.held_forget))
    fit_retain, held_retain = ([source.retain[i] for i in side] for side in (split.fit_retain, split.held_retain))

    places: list[Place] = []
    for modality in _AXIS:
        sides = (fit_forget, held_forget, fit_retain, held_retain)
        if all(any(bool(example.images) is (modality == "image") for example in side) for side in sides):
            places += places_of(layers, readouts, modality)
    readings = {place: Readings(Moments(hidden_size)) for place in places}
    if not places:
        return {}
    forget_batches = source.read(fit_forget, layers, copies=FORGET_COPIES, description="Reading forget examples")
    collect(readings, forget_batches, forget=True)
    retain_batches = source.read(fit_retain, layers, copies=RETAIN_COPIES, description="Reading retained examples")
    collect(readings, retain_batches, forget=False)

    candidates = {place: solve(place, known, estimator, parameters) for place, known in readings.items()}
    forget_batches = source.read(held_forget, layers, copies=FORGET_COPIES, description="Scoring held-out forget")
    score(candidates, forget_batches, forget=True)
    retain_batches = source.read(held_retain, layers, copies=RETAIN_COPIES, description="Scoring held-out retained")
    scored = score(candidates, retain_batches, forget=False)
    groups = {modality: [held_retain[i].group for i in indices] for modality, indices in scored.items()}
    return {
        place: [judge(candidate, groups[place.modality], alpha=alpha) for candidate in solved]
        for place, solved in candidates.items()
    }


@dataclass(frozen=True)
class Chosen:
    """
    Attributes:
        readout: What the gate reads.
        gate_layer: Where; None where each layer decides for itself.
        judged: The gate of each layer that has one, by modality.
    """

    readout: Readout
    gate_layer: int | None
    judged: dict[int, dict[Modality, Judged]]


def choose_gates(judged: dict[Place, list[Judged]], *, each: bool) -> Chosen:
    """
    Choose layer and readout by the modality in which they do worse; ridge or share by modality.

    The better of two gates lets more held-out forget inputs through above the conformal threshold, to the percent;
    of equals, the one whose weakest forget inputs are farther above it in standard deviations of retained scores.

    Args:
        judged: All gates that were tried.
        each: Whether each layer gets a gate of its own, all with one readout.

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
    # "image" and "text" differ from "prompt" only where there are images.
    readouts = dict.fromkeys(place.readout for place in best)

    def by_modality(layer: int, readout: Readout) -> dict[Modality, Judged]:
        return {
            modality: best[Place(layer, readout if modality == "image" else text_readout(readout), modality)]
            for modality in modalities
        }

    def key(layer: int, readout: Readout) -> tuple[float, float]:
        return min(judgement.key for judgement in by_modality(layer, readout).values())

    if each:
        readout = max(readouts, key=lambda r: sum(key(layer, r)[0] for layer in layers))
        return Chosen(readout, None, {layer: by_modality(layer, readout) for layer in layers})
    layer, readout = max(((layer, r) for r in readouts for layer in layers), key=lambda place: key(*place))
    return Chosen(readout, layer, {layer: by_modality(layer, readout)})


@dataclass(frozen=True)
class GateTensors:
    """
    What an adapter needs of its gates.

    Attributes:
        readout, gate_layer: As in `SteeringAdapterConfig`.
        weight: (2, 1, d) by layer, float32.
        bounds: (2, 1, 2) by layer, float32.
        calibration: How the bounds came about, by modality; of the first layer, if there are several.
    """

    readout: Readout
    gate_layer: int | None
    weight: dict[int, Tensor]
    bounds: dict[int, Tensor]
    calibration: dict[str, Calibration]


def gate_tensors(chosen: Chosen, *, gate: GateMode, hidden_size: int) -> GateTensors:
    """Turn the chosen gates into the adapter's tensors; a modality without a gate is never steered."""
    weights, bounds = {}, {}
    calibration: dict[str, Calibration] = {}
    for layer, by_modality in chosen.judged.items():
        weight = torch.zeros(2, 1, hidden_size)
        bound = torch.full((2, 1, 2), torch.inf)
        for modality, judged in by_modality.items():
            candidate = judged.candidate
            forget = torch.tensor(candidate.forget_scores, dtype=torch.float64)
            retain = torch.tensor(candidate.retain_scores, dtype=torch.float64)
            scale, limits = 1.0, calibrate(forget, judged.threshold)
            if gate == "linear":
                # The score is the gate: 1 on an average forget input, as the paper's regression target is.
                scale, limits = 1 / float(forget.mean().abs().clamp(min=1e-12)), Bounds(0.0, 1.0)
            axis = _AXIS[modality]
            weight[axis, 0] = (candidate.weight * scale).to(torch.float32)
            bound[axis, 0] = torch.tensor([limits.low, limits.high])
            calibration.setdefault(
                modality,
                Calibration(
                    n_groups=judged.n_groups,
                    alpha=judged.alpha,
                    supported_alpha=supported_alpha(judged.n_groups),
                    low=limits.low,
                    high=limits.high,
                    forget_rate=float((forget * scale > limits.low).double().mean()),
                    false_rate=float((retain * scale > limits.low).double().mean()),
                ),
            )
        weights[layer], bounds[layer] = weight, bound
    return GateTensors(chosen.readout, chosen.gate_layer, weights, bounds, calibration)

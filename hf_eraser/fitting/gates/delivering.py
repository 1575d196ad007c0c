"""What an adapter gets of the chosen gates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...tuner.fields import GateMode, Readout, readout_width
from ...tuner.gate import TEXT_ONLY, WITH_IMAGE, Modality
from ..report.results import Calibration
from .calibration import group_mean, supported_alpha
from .choosing import Chosen
from .places import text_readout
from .solving import ALL
from .trying import Fitted


_AXIS: dict[Modality, int] = {"image": WITH_IMAGE, "text": TEXT_ONLY}


@dataclass(frozen=True)
class GateTensors:
    """
    What an adapter needs of its gates.

    Attributes:
        readout, text_readout, gate_layer, text_gate_layer: As in `SteeringAdapterConfig`.
        weight: (2, k, d) by layer, (2, k, 2 d) where a readout is `"joined"`, one gate for each concept, float32.
        bounds: (2, k, 2) by layer, float32.
        calibration: How the bounds came about, by modality; of the first layer, if there are several.
        of_concept: The same for each concept.
    """

    readout: Readout
    text_readout: Readout | None
    gate_layer: int | None
    text_gate_layer: int | None
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
    for layer, by_modality in chosen.together.items():
        weight = torch.zeros(2, len(fitted.concepts), width)
        bound = torch.full((2, len(fitted.concepts), 2), torch.inf)
        for modality, at_once in by_modality.items():
            gates, axis = at_once.gates, _AXIS[modality]
            groups, alpha = gates[0].groups, at_once.thresholds.alpha
            opened: list[tuple[Tensor, Tensor, Tensor]] = []
            for judged, limits in zip(gates, at_once.bounds(gate)):
                candidate = judged.candidate
                solution = fitted.solution(candidate, fold)
                row = fitted.concepts.index(candidate.concept)
                weight[axis, row, : len(solution.weight)] = solution.weight.to(torch.float32)
                bound[axis, row] = torch.tensor([limits.low, limits.high]) + solution.offset
                opened.append(
                    tuple(s > limits.low for s in (candidate.forget, candidate.retain, candidate.general))  # type: ignore[arg-type]
                )
                own = _calibration(bound[axis, row], *opened[-1], groups, alpha)
                of_concept[row].setdefault(modality, own)
            forget_opened = torch.cat([of_forget for of_forget, _, _ in opened])
            retain_opened, general_opened = (
                torch.stack([of_gate[i] for of_gate in opened]).any(dim=0) for i in (1, 2)
            )
            own_bounds = bound[axis, 0] if len(gates) == 1 else torch.full((2,), torch.nan)
            every = forget_opened, retain_opened, general_opened
            calibration.setdefault(modality, _calibration(own_bounds, *every, groups, alpha))
        weights[layer], bounds[layer] = weight, bound
    text: Readout | None = chosen.readouts.get("text")
    readout = chosen.readouts.get("image", text or "prompt")
    same = text is None or text == text_readout(readout)
    places = chosen.gate_layers or {}
    gate_layer = places.get("image", places.get("text"))
    text_layer = places.get("text")
    return GateTensors(
        readout,
        None if same else text,
        gate_layer,
        None if text_layer == gate_layer else text_layer,
        weights,
        bounds,
        calibration,
        of_concept,
    )


def _calibration(
    bounds: Tensor, forget: Tensor, retain: Tensor, general: Tensor, groups: Sequence[Hashable], alpha: float
) -> Calibration:
    """`forget`, `retain` and `general` tell for which held-out examples the gate opens."""
    n_groups = len(set(groups))
    return Calibration(
        n_groups=n_groups,
        alpha=alpha,
        supported_alpha=supported_alpha(n_groups),
        low=float(bounds[0]),
        high=float(bounds[1]),
        forget_rate=float(forget.double().mean()),
        false_rate=group_mean(retain.double(), groups),
        general_rate=float(general.double().mean()) if len(general) else None,
    )

"""What a report keeps of the examples that judged the chosen gates: numbers, and of many only some."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ...tuner.fields import GateMode
from ..report.results import GateScores
from .choosing import Chosen
from .solving import ALL
from .trying import Fitted


# Of each class and modality, scores in a report, and their digits.
_SCORES, _DIGITS = 256, 4


def held_out_scores(chosen: Chosen, fitted: Fitted, *, gate: GateMode) -> list[GateScores]:
    """What held-out examples score at each of the chosen gates."""
    found = []
    for layer, by_modality in chosen.together.items():
        for modality, at_once in by_modality.items():
            for judged, limits in zip(at_once.gates, at_once.bounds(gate)):
                candidate = judged.candidate
                # A gate scores the forget examples of its concept only.
                own = [candidate.concept in (None, concept) for concept in fitted.judging_concepts[modality]]
                number = np.cumsum(own) - 1
                forget = fitted.samples["forget"].positions[modality]
                kept = [i for i, position in enumerate(forget) if own[position]]
                retained = fitted.samples["retained"].positions[modality]
                points = _points(
                    {
                        "forget": fitted.samples["forget"].readouts(candidate.place)[kept],
                        "retained": fitted.samples["retained"].readouts(candidate.place),
                    },
                    {
                        "forget": [candidate.forget_scores[number[forget[i]]] for i in kept],
                        "retained": [candidate.retain_scores[position] for position in retained],
                    },
                    fitted.solution(candidate, ALL).weight,
                )
                found.append(
                    GateScores(
                        layer=layer,
                        readout=candidate.place.readout,
                        modality=modality,
                        parameter=candidate.value,
                        low=limits.low,
                        high=limits.high,
                        forget=_spread(candidate.forget_scores),
                        retained=_spread(candidate.retain_scores),
                        forget_points=points["forget"],
                        retained_points=points["retained"],
                        concept=candidate.concept,
                    )
                )
    return found


def _points(rows: dict[str, Tensor], scores: dict[str, list[float]], weight: Tensor) -> dict[str, list[list[float]]]:
    """Scores against the first principal component of the readouts without their part along the gate vector."""
    present = [of_class for of_class in rows.values() if len(of_class)]
    if not present:
        return {name: [] for name in rows}
    every = torch.cat(present)
    unit = weight / weight.norm().clamp(min=torch.finfo(weight.dtype).tiny)
    left = every - every.mean(dim=0)
    left = left - torch.outer(left @ unit, unit)
    component = torch.linalg.svd(left, full_matrices=False).Vh[0]
    # The sign of a component means nothing: fixed, so that the same fit gives the same picture.
    along = left @ component * component[component.abs().argmax()].sign()
    along = along / along.std(correction=0).clamp(min=torch.finfo(along.dtype).tiny)
    points, start = {}, 0
    for name, of_class in rows.items():
        places = along[start : start + len(of_class)].tolist()
        # Sorted, so that nothing is left of the examples' order.
        points[name] = sorted([_rounded(s), _rounded(p)] for s, p in zip(scores[name], places))
        start += len(of_class)
    return points


def _spread(values: Sequence[float]) -> list[float]:
    ordered = [_rounded(value) for value in sorted(values)]
    if len(ordered) <= _SCORES:
        return ordered
    return [ordered[round(i)] for i in np.linspace(0, len(ordered) - 1, _SCORES)]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")

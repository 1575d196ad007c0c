"""What a report keeps of the examples that judged the chosen gates: numbers, and of many only some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..config import GateMode
from .candidates import ALL, Place, joint_bounds, rows_of
from .capture import Captured
from .report import GateScores, Modality


if TYPE_CHECKING:
    from .gates import Chosen, Fitted


# Of each class and modality: readouts that are kept of every place until a gate is chosen; scores in a report.
_READOUTS, _SCORES = 120, 256

_DIGITS = 4


class Sample:
    """
    Readouts of some of the examples that judge gates, drawn beforehand: their number does not grow with the examples'.

    Args:
        modalities: The modality of each.
        seed: Seed of the draw.
    """

    def __init__(self, modalities: Sequence[Modality], *, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._views: set[int] = set()
        for modality in ("image", "text"):
            there = [i for i, found in enumerate(modalities) if found == modality]
            self._views.update(rng.permutation(there)[:_READOUTS].tolist())
        self._rows: dict[Place, list[Tensor]] = {}
        self._seen: dict[Modality, int] = {"image": 0, "text": 0}
        #: Which of a modality's scores belong to the readouts that are kept.
        self.positions: dict[Modality, list[int]] = {"image": [], "text": []}

    def watch(self, batches: Iterable[Captured], places: Sequence[Place]) -> Iterator[Captured]:
        """Hand on batches, and keep from each place what was drawn."""
        for batch in batches:
            kept: dict[Modality, list[int]] = {}
            for modality, positions in self.positions.items():
                rows = rows_of(batch, modality)
                kept[modality] = [row for row in rows if batch.indices[row] in self._views]
                positions += [self._seen[modality] + rows.index(row) for row in kept[modality]]
                self._seen[modality] += len(rows)
            for place in places:
                if kept[place.modality]:
                    rows_there = batch.sums[place.layer].read(place.readout)[kept[place.modality]]
                    # Enough for a picture, in half the memory.
                    self._rows.setdefault(place, []).append(rows_there.to("cpu", torch.bfloat16))
            yield batch

    def readouts(self, place: Place) -> Tensor:
        """What was kept of a place, (n, d), float64, in the order of `positions`."""
        rows = self._rows.get(place)
        return torch.empty(0, 0, dtype=torch.float64) if rows is None else torch.cat(rows).to(torch.float64)


def held_out_scores(chosen: Chosen, fitted: Fitted, *, gate: GateMode) -> list[GateScores]:
    """What held-out examples score at each of the chosen gates."""
    found = []
    for layer, by_modality in chosen.judged.items():
        for modality, gates in by_modality.items():
            for judged, limits in zip(gates, joint_bounds(gates, gate)):
                candidate = judged.candidate
                # A gate scores the forget examples of its concept only.
                own = [concept == candidate.concept for concept in fitted.judging_concepts[modality]]
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

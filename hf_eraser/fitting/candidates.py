"""Every gate that could be: solved from one pass over the fitting examples, judged in one over the held-out ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..config import Readout
from .calibration import auc, group_conformal_threshold, supported_alpha
from .capture import Captured
from .moments import Moments
from .nullspace import leak, null_space, nullspace_gate
from .report import GateResult, Modality
from .ridge import ridge_gates


Estimator = Literal["ridge", "nullspace"]

RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3)
SHARES = (0.3, 0.6, 0.9)

# The gate's ridge in the null space, relative to the mean squared norm of the projected forget readouts.
_RELATIVE_GAMMA = 1e-3


@dataclass(frozen=True)
class Place:
    """Where a gate reads, and in which modality."""

    layer: int
    readout: Readout
    modality: Modality


@dataclass
class Readings:
    """
    What the first pass leaves of one place: the forget readouts, and no more than moments of the retained ones.

    Attributes:
        forget: The forget readouts, a batch a tensor.
        retain: The retained readouts' moments.
    """

    retain: Moments
    forget: list[Tensor] = field(default_factory=list)


@dataclass
class Candidate:
    """
    One solved gate vector and its held-out scores.

    Attributes:
        place: Where it reads.
        parameter: The ridge, or the share of directions that the null space takes.
        weight: w, (d,), float64.
        leak: As in `GateResult`.
    """

    place: Place
    parameter: float
    weight: Tensor
    leak: float | None = None
    forget_scores: list[float] = field(default_factory=list)
    retain_scores: list[float] = field(default_factory=list)


def places_of(layers: Sequence[int], readouts: Sequence[Readout], modality: Modality) -> list[Place]:
    """The places that are tried; in a text-only prompt three of the readouts are the same."""
    places = [Place(layer, readout, modality) for layer in layers for readout in readouts]
    if modality == "image":
        return places
    return list(dict.fromkeys(Place(p.layer, text_readout(p.readout), modality) for p in places))


def text_readout(readout: Readout) -> Readout:
    """What a readout means in a prompt without an image."""
    return "last" if readout == "last" else "prompt"


def rows_at(batch: Captured, place: Place) -> tuple[list[int], Tensor]:
    """Of a batch, the examples of the place's modality and their readouts, (n, d)."""
    wanted = batch.has_image if place.modality == "image" else ~batch.has_image
    rows = wanted.nonzero()[:, 0].tolist()
    return [batch.indices[row] for row in rows], batch.sums[place.layer].read(place.readout)[rows]


def collect(readings: dict[Place, Readings], batches: Iterable[Captured], *, forget: bool) -> None:
    """Add batches of one class to what is known at each place."""
    for batch in batches:
        for place, known in readings.items():
            indices, rows = rows_at(batch, place)
            if not indices:
                continue
            if forget:
                known.forget.append(rows.to("cpu", torch.float32))
            else:
                known.retain.add(rows)


def solve(place: Place, known: Readings, estimator: Estimator, parameters: Sequence[float]) -> list[Candidate]:
    """The gates of one place, one for each ridge or share."""
    rows = torch.cat(known.forget).to(torch.float64)
    if estimator == "ridge":
        forget = Moments(known.retain.dim)
        forget.add(rows)
        weights = ridge_gates(forget, known.retain, ridges=parameters)
        return [Candidate(place, parameter, weight) for parameter, weight in zip(parameters, weights)]
    candidates = []
    for share in parameters:
        basis = null_space(known.retain.second_moment, share)
        gamma = _RELATIVE_GAMMA * float((rows @ basis).square().sum(dim=1).mean())
        weight = nullspace_gate(rows, basis, gamma=max(gamma, torch.finfo(torch.float64).tiny))
        candidates.append(Candidate(place, share, weight, leak(known.retain.second_moment, basis)))
    return candidates


def score(
    candidates: dict[Place, list[Candidate]], batches: Iterable[Captured], *, forget: bool
) -> dict[Modality, list[int]]:
    """Score held-out examples with every candidate; returns which examples were scored in each modality, in order."""
    scored: dict[Modality, list[int]] = {"image": [], "text": []}
    weights = {place: torch.stack([c.weight for c in solved]) for place, solved in candidates.items()}
    for batch in batches:
        for modality in scored:
            wanted = batch.has_image if modality == "image" else ~batch.has_image
            scored[modality] += [batch.indices[row] for row in wanted.nonzero()[:, 0].tolist()]
        for place, solved in candidates.items():
            _, rows = rows_at(batch, place)
            for candidate, scores in zip(solved, (rows.to("cpu", torch.float64) @ weights[place].T).T.tolist()):
                (candidate.forget_scores if forget else candidate.retain_scores).extend(scores)
    return scored


@dataclass(frozen=True)
class Judged:
    """A candidate, its conformal threshold and how it did on the held-out examples."""

    candidate: Candidate
    threshold: float
    alpha: float
    n_groups: int
    result: GateResult

    @property
    def key(self) -> tuple[float, float]:
        """What the better of two gates has more of: forget inputs above the threshold; then, distance to it."""
        return round(self.result.forget_rate, 2), self.result.margin


def judge(candidate: Candidate, groups: Sequence[Hashable], *, alpha: float) -> Judged:
    """
    Args:
        candidate: A scored gate.
        groups: The group of each held-out retained example that it scored.
        alpha: The wanted level; where there are too few groups for it, the smallest that they support is used.
    """
    n_groups = len(set(groups))
    level = max(alpha, supported_alpha(n_groups))
    retain = torch.tensor(candidate.retain_scores, dtype=torch.float64)
    forget = torch.tensor(candidate.forget_scores, dtype=torch.float64)
    threshold = group_conformal_threshold(retain, groups, alpha=level) if n_groups else float("inf")
    spread = float(retain.std()) if len(retain) > 1 else 1.0
    weakest = float(torch.quantile(forget, 0.05))
    place = candidate.place
    return Judged(
        candidate,
        threshold,
        level,
        n_groups,
        GateResult(
            layer=place.layer,
            readout=place.readout,
            modality=place.modality,
            parameter=candidate.parameter,
            auc=auc(forget, retain) if len(retain) else float("nan"),
            forget_rate=float((forget > threshold).double().mean()),
            false_rate=float((retain > threshold).double().mean()) if len(retain) else 0.0,
            margin=(weakest - threshold) / max(spread, 1e-12) if n_groups else float("-inf"),
            leak=candidate.leak,
        ),
    )

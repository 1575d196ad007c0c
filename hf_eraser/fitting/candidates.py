"""Every gate that could be: solved from one pass over the examples, fold by fold, and judged in a second one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..config import GateMode, Readout
from .calibration import (
    Bounds,
    auc,
    calibrate,
    group_conformal_threshold,
    group_mean,
    joint_thresholds,
    supported_alpha,
)
from .capture import Captured
from .moments import Moments
from .nullspace import leak, null_space, nullspace_gate
from .report import GateResult, Modality
from .ridge import ridge_gates
from .split import FOLDS, Role


Estimator = Literal["ridge", "nullspace"]

# What a gate is fitted with: a ridge; or a null space, by its share of the directions or by the energy in it.
Parameter = Literal["ridge", "share", "energy"]

RIDGES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
SHARES = (0.3, 0.6, 0.9)

# The gate's ridge in the null space, relative to the mean squared norm of the projected forget readouts.
_RELATIVE_GAMMA = 1e-3

# A level below this is doubled, up to it, where gates are compared. The threshold of a strict level hangs on very few
# groups: the gate with the lowest one is the one where these scored low by chance. Chosen by its own threshold, a gate
# for alpha = 0.01 steered 1.16% of inputs of new groups, by that of 0.02 0.91% (Qwen2.5-VL, 254 groups, 20 seeds).
_STRICT = 0.05

# Beside the folds, the fit on all examples: the one that is delivered.
ALL = FOLDS


@dataclass(frozen=True)
class Place:
    """Where a gate reads, and in which modality."""

    layer: int
    readout: Readout
    modality: Modality


class Readings:
    """
    What the first pass leaves of one place: the forget readouts, and no more than moments of the retained ones.

    Args:
        dim: d, the readouts' width.
    """

    def __init__(self, dim: int) -> None:
        self.retain = [Moments(dim) for _ in range(FOLDS + 1)]
        self._forget: list[Tensor] = []
        self._roles: list[Role] = []
        self._concepts: list[Hashable] = []

    def add_forget(self, rows: Tensor, roles: Sequence[Role], concepts: Sequence[Hashable]) -> None:
        """Add forget readouts, (n, d)."""
        self._forget.append(rows.to("cpu", torch.float32))
        self._roles += roles
        self._concepts += concepts

    def add_retain(self, rows: Tensor, roles: Sequence[Role]) -> None:
        """Add retained readouts, (n, d)."""
        self.retain[ALL].add(rows)
        for fold in range(FOLDS):
            fitting = [row for row, role in enumerate(roles) if fold in role.fits]
            if fitting:
                self.retain[fold].add(rows[fitting])

    def forget(self, fold: int, concept: Hashable) -> tuple[Tensor, Tensor]:
        """The forget readouts that fit a fold, (n, d), float64, and which of them are of a concept, (n,), bool."""
        fitting = [row for row, role in enumerate(self._roles) if fold == ALL or fold in role.fits]
        own = torch.tensor([self._concepts[row] == concept for row in fitting], dtype=torch.bool)
        return torch.cat(self._forget)[fitting].to(torch.float64), own


@dataclass(frozen=True)
class Solution:
    """
    A gate vector: the score is `weight . r - offset`, 0 on an average retained readout that fitted it and 1 on an
    average forget one, so that scores of gates fitted on different examples can be compared.

    Attributes:
        weight: w, (d,), float64.
        offset: The score's offset; always 0 for gates whose score is not compared with bounds.
        leak: As in `GateResult`.
    """

    weight: Tensor
    offset: float
    leak: float | None


@dataclass
class Candidate:
    """
    One way to fit a gate: its place and ridge or share, solved for each fold, and the scores of what judges the folds.

    Attributes:
        place: Where it reads.
        concept: What it is to recognise.
        value: The ridge, or the share of directions or of energy that the null space takes.
        solutions: The gate of each fold that has examples to fit it.
        forget_scores, retain_scores: Scores by the gate of the fold that an example judges; the forget examples of
            other concepts have none.
    """

    place: Place
    concept: int | None
    value: float
    solutions: dict[int, Solution]
    forget_scores: list[float] = field(default_factory=list)
    retain_scores: list[float] = field(default_factory=list)

    @property
    def forget(self) -> Tensor:
        """(n,), float64."""
        return torch.tensor(self.forget_scores, dtype=torch.float64)

    @property
    def retain(self) -> Tensor:
        """(n,), float64."""
        return torch.tensor(self.retain_scores, dtype=torch.float64)


def places_of(layers: Sequence[int], readouts: Sequence[Readout], modality: Modality) -> list[Place]:
    """The places that are tried; in a text-only prompt three of the readouts are the same."""
    places = [Place(layer, readout, modality) for layer in layers for readout in readouts]
    if modality == "image":
        return places
    return list(dict.fromkeys(Place(p.layer, text_readout(p.readout), modality) for p in places))


def text_readout(readout: Readout) -> Readout:
    """What a readout means in a prompt without an image."""
    return readout if readout in ("last", "joined") else "prompt"


def rows_of(batch: Captured, modality: Modality) -> list[int]:
    """The rows of a batch that are of a modality."""
    wanted = batch.has_image if modality == "image" else ~batch.has_image
    return wanted.nonzero()[:, 0].tolist()


def rows_at(batch: Captured, place: Place) -> tuple[list[int], Tensor]:
    """Of a batch, the examples of the place's modality and their readouts, (n, d)."""
    rows = rows_of(batch, place.modality)
    return [batch.indices[row] for row in rows], batch.sums[place.layer].read(place.readout)[rows]


def collect(
    readings: dict[Place, Readings],
    batches: Iterable[Captured],
    roles: Sequence[Role],
    concepts: Sequence[Hashable] | None,
) -> None:
    """
    Add batches of one class to what is known at each place.

    Args:
        readings: What is known.
        batches: What was read.
        roles: The role of each example.
        concepts: The concept of each forget example; None for retained ones.
    """
    for batch in batches:
        for place, known in readings.items():
            indices, rows = rows_at(batch, place)
            if not indices:
                continue
            if concepts is None:
                known.add_retain(rows, [roles[i] for i in indices])
            else:
                known.add_forget(rows, [roles[i] for i in indices], [concepts[i] for i in indices])


def solve(
    known: Readings,
    fold: int,
    parameter: Parameter,
    values: Sequence[float],
    *,
    centred: bool,
    concept: Hashable = None,
) -> list[Solution]:
    """
    The gates of one concept, place and fold, one for each value of the parameter.

    Args:
        known: What was read there.
        fold: The fold, or `ALL`.
        parameter: What gates are fitted with.
        values: The values of it.
        centred: Whether the score of an average retained readout is put at 0. A linear gate has no offset.
        concept: The concept. What else is to be forgotten is of neither class to the discriminant, and to the null
            space's regression, as in the paper's matrix, an input that another direction is for.
    """
    (rows, own), retain = known.forget(fold, concept), known.retain[fold]
    forget = Moments(retain.dim)
    forget.add(rows[own])
    leaks: list[float | None] = [None] * len(values)
    if parameter == "ridge":
        weights = list(ridge_gates(forget, retain, ridges=values))
    else:
        weights = []
        held_out = retain if fold == ALL else known.retain[ALL].without(retain)
        for i, value in enumerate(values):
            basis = null_space(retain.second_moment, **{parameter: value})
            gamma = _RELATIVE_GAMMA * float((rows @ basis).square().sum(dim=1).mean())
            gamma = max(gamma, torch.finfo(torch.float64).tiny)
            weights.append(nullspace_gate(rows, basis, gamma=gamma, target=own))
            leaks[i] = leak(held_out.second_moment, basis) if held_out.count else None
    solutions = []
    for weight, leaked in zip(weights, leaks):
        offset = float(weight @ retain.mean) if centred else 0.0
        distance = float(weight @ forget.mean) - offset
        # Classes with the same mean have no distance, and their gate tells nothing.
        scale = 1 / distance if distance > torch.finfo(torch.float64).eps else 1.0
        solutions.append(Solution(weight * scale, offset * scale, leaked))
    return solutions


def score(
    candidates: dict[Place, list[Candidate]],
    batches: Iterable[Captured],
    roles: Sequence[Role],
    concepts: Sequence[Hashable] | None,
) -> dict[Modality, list[int]]:
    """
    Score examples by the gates of the fold that they judge.

    Args:
        candidates: The gates; what they score is added to them.
        batches: What was read of the examples.
        roles: The role of each.
        concepts: The concept of each forget example; None for retained ones.

    Returns:
        Which examples were scored in each modality, in order.
    """
    scored: dict[Modality, list[int]] = {"image": [], "text": []}
    for batch in batches:
        for modality, examples in scored.items():
            examples += [batch.indices[row] for row in rows_of(batch, modality)]
        for place, solved in candidates.items():
            indices, rows = rows_at(batch, place)
            rows = rows.to("cpu", torch.float64)
            folds = torch.tensor([roles[i].judges for i in indices], dtype=torch.long)
            for candidate in solved:
                scores = torch.empty(len(indices), dtype=torch.float64)
                for fold, gate in candidate.solutions.items():
                    scores[folds == fold] = rows[folds == fold] @ gate.weight - gate.offset
                if concepts is None:
                    candidate.retain_scores.extend(scores.tolist())
                else:
                    own = [row for row, i in enumerate(indices) if concepts[i] == candidate.concept]
                    candidate.forget_scores.extend(scores[own].tolist())
    return scored


@dataclass(frozen=True)
class Judged:
    """
    A candidate, and how it did on examples that did not fit it.

    Attributes:
        candidate: The candidate.
        groups: The group of each retained example that it scored.
        threshold, alpha: Its conformal threshold, and the level that this is for.
        result: What goes into the report.
    """

    candidate: Candidate
    groups: Sequence[Hashable]
    threshold: float
    alpha: float
    result: GateResult

    @property
    def room(self) -> float:
        """
        What the better of two gates has more of: its margin where even the weakest forget inputs are above the
        threshold; where some are not, minus the share of those.
        """
        return self.result.margin if self.result.margin > 0 else self.result.forget_rate - 1

    @property
    def key(self) -> tuple[float, float]:
        """Orders gates from worse to better."""
        return self.room, self.result.auc


def joint_bounds(gates: Sequence[Judged], gate: GateMode) -> list[Bounds]:
    """
    The bounds of the gates of one place, one for each concept, on the scale of their scores.

    Of several gates, the thresholds are such that hardly any retained input opens one of them.
    """
    if gate == "linear":
        # A linear score is the gate itself: 1 on an average forget input, as the paper's regression target is.
        return [Bounds(0.0, 1.0)] * len(gates)
    if len(gates) == 1:
        thresholds = [gates[0].threshold]
    else:
        thresholds = joint_thresholds([g.candidate.retain for g in gates], gates[0].groups, alpha=gates[0].alpha)
    return [calibrate(g.candidate.forget, threshold) for g, threshold in zip(gates, thresholds)]


def judge(candidate: Candidate, groups: Sequence[Hashable], *, alpha: float) -> Judged:
    """
    Args:
        candidate: A scored gate.
        groups: The group of each retained example that it scored.
        alpha: The wanted level; where there are too few groups for it, the smallest that they support is used.
    """
    n_groups = len(set(groups))
    level = max(alpha, supported_alpha(n_groups))
    retain, forget = candidate.retain, candidate.forget
    threshold = group_conformal_threshold(retain, groups, alpha=level)
    compared = threshold
    if level < _STRICT:
        compared = group_conformal_threshold(retain, groups, alpha=min(2 * level, _STRICT))
    spread = float(retain.std()) if len(retain) > 1 else 1.0
    weakest = float(torch.quantile(forget, 0.05))
    place = candidate.place
    return Judged(
        candidate,
        groups,
        threshold,
        level,
        GateResult(
            layer=place.layer,
            readout=place.readout,
            modality=place.modality,
            parameter=candidate.value,
            auc=auc(forget, retain),
            forget_rate=float((forget > threshold).double().mean()),
            false_rate=group_mean((retain > threshold).double(), groups),
            margin=(weakest - compared) / max(spread, 1e-12),
            leak=next(iter(candidate.solutions.values())).leak,
            concept=candidate.concept,
        ),
    )

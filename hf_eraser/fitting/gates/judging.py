"""How good a candidate gate is, by what held-out examples score."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...tuner.config import GateMode
from ...tuner.gate import Modality
from ..reading.capture import Captured
from ..reading.split import Role
from ..report.results import GateResult
from .calibration import (
    Bounds,
    auc,
    calibrate,
    group_conformal_threshold,
    group_mean,
    joint_thresholds,
    supported_alpha,
)
from .places import Place, rows_at, rows_of
from .solving import Solution


# A level below this is doubled, up to it, where gates are compared. The threshold of a strict level hangs on very few
# groups: the gate with the lowest one is the one where these scored low by chance. Chosen by its own threshold, a gate
# for alpha = 0.01 steered 1.16% of inputs of new groups, by that of 0.02 0.91% (Qwen2.5-VL, 254 groups, 20 seeds).
_STRICT = 0.05


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

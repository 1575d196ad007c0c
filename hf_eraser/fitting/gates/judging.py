"""How good a candidate gate is, by what held-out examples score."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ...tuner.fields import GateMode
from ...tuner.gate import Modality
from ..reading.capture import Captured
from ..reading.split import Role
from ..report.results import GateResult
from .calibration import (
    Bounds,
    Thresholds,
    auc,
    calibrate,
    general_thresholds,
    group_conformal_threshold,
    group_mean,
    joint_thresholds,
    supported_alpha,
    threshold_that_misses,
)
from .places import Place, rows_of, rows_of_each_picture
from .solving import Readings, Solution


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
        general_share: Of the retained class that fitted it, the share of general traffic.
        solutions: The gate of each fold that has examples to fit it.
        forget_scores, retain_scores, general_scores: Scores by the gate of the fold that an example judges; the forget
            examples of other concepts have none.
    """

    place: Place
    concept: int | None
    value: float
    solutions: dict[int, Solution]
    forget_scores: MutableSequence[float] = field(default_factory=lambda: array("d"))
    retain_scores: MutableSequence[float] = field(default_factory=lambda: array("d"))
    general_scores: MutableSequence[float] = field(default_factory=lambda: array("d"))
    general_share: float = 0.0

    @property
    def forget(self) -> Tensor:
        """(n,), float64."""
        return torch.tensor(self.forget_scores, dtype=torch.float64)

    @property
    def retain(self) -> Tensor:
        """(n,), float64."""
        return torch.tensor(self.retain_scores, dtype=torch.float64)

    @property
    def general(self) -> Tensor:
        """(n,), float64."""
        return torch.tensor(self.general_scores, dtype=torch.float64)


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
    gates = {place: _Gates(solved) for place, solved in candidates.items() if solved}
    for batch in batches:
        for modality, examples in scored.items():
            examples += [batch.indices[row] for row in rows_of(batch, modality)]
        for place, at_place in gates.items():
            indices, of_pictures = rows_of_each_picture(batch, place)
            if not indices:
                continue
            folds = [roles[i].judges for i in indices]
            scores = torch.stack([at_place.scores(rows.to("cpu", torch.float64), folds) for rows in of_pictures])
            for candidate, of_gate in zip(candidates[place], scores.amax(dim=0).T):
                if concepts is None:
                    candidate.retain_scores.extend(of_gate.tolist())
                else:
                    own = [row for row, i in enumerate(indices) if candidate.concept in (None, concepts[i])]
                    candidate.forget_scores.extend(of_gate[own].tolist())
    return scored


def scores_of_rows(candidates: Sequence[Candidate], of_pictures: Tensor, folds: Sequence[int]) -> Tensor:
    """
    The scores of readouts that were kept by the gates of one place, each solved for every fold: (n, gates), float64.

    Args:
        candidates: The gates.
        of_pictures: The readouts for each picture of a prompt by itself, (pictures, n, d).
        folds: The fold that each prompt judges.
    """
    gates = _Gates(candidates)
    return torch.stack([gates.scores(rows.to(torch.float64), folds) for rows in of_pictures]).amax(dim=0)


class _Gates:
    """The gates of one place, those of a fold in one matrix: a product for each of thousands takes longer."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._of_fold = {
            fold: (
                torch.stack([one.solutions[fold].weight for one in candidates], dim=1),
                torch.tensor([one.solutions[fold].offset for one in candidates], dtype=torch.float64),
            )
            for fold in candidates[0].solutions
        }
        self._count = len(candidates)

    def scores(self, rows: Tensor, folds: Sequence[int | None]) -> Tensor:
        """The scores of readouts, (n, d), by the gates of the fold that each judges, (n, gates)."""
        found = torch.empty(len(rows), self._count, dtype=torch.float64)
        of_rows = torch.tensor([-1 if fold is None else fold for fold in folds])
        for fold, (weights, offsets) in self._of_fold.items():
            own = of_rows == fold
            found[own] = rows[own] @ weights - offsets
        return found


def score_general(candidates: Sequence[Candidate], known: Readings) -> None:
    """Score general traffic by the gates of one place; the scores are added to them."""
    gates = _Gates(candidates)
    for fold in candidates[0].solutions:
        rows = known.general(fold, judging=True).cpu()
        for candidate, of_gate in zip(candidates, gates.scores(rows, [fold] * len(rows)).T):
            candidate.general_scores.extend(of_gate.tolist())


@dataclass(frozen=True)
class Judged:
    """
    A candidate, and how it did on examples that did not fit it.

    Attributes:
        candidate: The candidate.
        groups: The group of each retained example that it scored.
        threshold: Its threshold: conformal for retained and for general inputs, each at their level.
        alpha, general_alpha: These levels.
        result: What goes into the report.
    """

    candidate: Candidate
    groups: Sequence[Hashable]
    threshold: float
    alpha: float
    general_alpha: float
    result: GateResult

    @property
    def room(self) -> float:
        """What the better of two gates for one concept has more of, each with its own threshold; see `room`."""
        return room(self.result.margin, self.result.forget_rate)

    @property
    def key(self) -> tuple[float, float]:
        """Orders gates for one concept from worse to better."""
        return self.room, self.result.auc


def room(margin: float, forget_rate: float) -> float:
    """
    What the better of two gates has more of: its margin where even the weakest forget inputs are above the threshold;
    where some are not, minus the share of those.
    """
    return margin if margin > 0 else forget_rate - 1


def room_above(forget: Tensor, retain: Tensor, threshold: float) -> float:
    """The room of forget scores above a threshold."""
    return room(_margin(forget, retain, threshold), float((forget > threshold).double().mean()))


@dataclass(frozen=True)
class Together:
    """
    The gates of one place, one for each concept, as they will be delivered: with thresholds that hold for all of them.

    Attributes:
        gates: The gates.
        thresholds: Their thresholds.
        room: That of the concept for which they are worst.
        auc: The least.
    """

    gates: list[Judged]
    thresholds: Thresholds
    room: float
    auc: float

    @property
    def place(self) -> Place:
        """Where they read."""
        return self.gates[0].candidate.place

    @property
    def key(self) -> tuple[float, float]:
        """Orders places from worse to better."""
        return self.room, self.auc

    def bounds(self, gate: GateMode) -> list[Bounds]:
        """The bounds of each gate, on the scale of its scores."""
        if gate == "linear":
            # A linear score is the gate itself: 1 on an average forget input, as the paper's regression target is.
            return [Bounds(0.0, 1.0)] * len(self.gates)
        return [calibrate(g.candidate.forget, limit) for g, limit in zip(self.gates, self.thresholds.values)]


def together(gates: Sequence[Judged], *, at_least: float | None = None) -> Together:
    """
    The gates of one place under common thresholds, judged by the concept for which they are worst.

    Args:
        gates: The gates.
        at_least: The share of forget inputs that each must open for, whatever retained inputs then open it; the
            default lets the levels decide.
    """
    forget = [gate.candidate.forget for gate in gates]
    retain = [gate.candidate.retain for gate in gates]
    groups, level = gates[0].groups, gates[0].alpha
    general = [gate.candidate.general for gate in gates]
    floors = general_thresholds(forget, general, alpha=gates[0].general_alpha)

    def thresholds_for(alpha: float) -> Thresholds:
        found = joint_thresholds(forget, retain, groups, alpha=alpha)
        values = [max(value, floor) for value, floor in zip(found.values, floors)]
        if at_least is not None:
            wanted = [threshold_that_misses(f, 1 - at_least) for f in forget]
            values = [min(value, limit) for value, limit in zip(values, wanted)]
        return replace(found, values=values)

    thresholds = thresholds_for(level)
    compared = thresholds if (looser := _compared(level)) == level else thresholds_for(looser)
    rooms = [
        room(_margin(f, r, against), float((f > threshold).double().mean()))
        for f, r, against, threshold in zip(forget, retain, compared.values, thresholds.values)
    ]
    return Together(list(gates), thresholds, min(rooms), min(gate.result.auc for gate in gates))


def _margin(forget: Tensor, retain: Tensor, threshold: float) -> float:
    """From the threshold to the weakest forget inputs, in standard deviations of the retained scores."""
    spread = float(retain.std()) if len(retain) > 1 else 1.0
    return (float(torch.quantile(forget, 0.05)) - threshold) / max(spread, 1e-12)


def _compared(level: float) -> float:
    """The level by whose thresholds gates for this level are compared."""
    return min(2 * level, _STRICT) if level < _STRICT else level


def judge(candidate: Candidate, groups: Sequence[Hashable], *, alpha: float, general_alpha: float = 0.001) -> Judged:
    """
    Args:
        candidate: A scored gate.
        groups: The group of each retained example that it scored.
        alpha: The wanted level; where there are too few groups for it, the smallest that they support is used.
        general_alpha: Likewise for general traffic, where each prompt is a group.
    """
    n_groups = len(set(groups))
    level = max(alpha, supported_alpha(n_groups))
    retain, forget = candidate.retain, candidate.forget
    (floor,) = general_thresholds([forget], [candidate.general], alpha=general_alpha)
    threshold = max(floor, group_conformal_threshold(retain, groups, alpha=level))
    compared = threshold
    if (looser := _compared(level)) != level:
        compared = max(floor, group_conformal_threshold(retain, groups, alpha=looser))
    place = candidate.place
    return Judged(
        candidate,
        groups,
        threshold,
        level,
        general_alpha,
        GateResult(
            layer=place.layer,
            readout=place.readout,
            modality=place.modality,
            parameter=candidate.value,
            auc=auc(forget, retain),
            forget_rate=float((forget > threshold).double().mean()),
            false_rate=group_mean((retain > threshold).double(), groups),
            margin=_margin(forget, retain, compared),
            leak=next(iter(candidate.solutions.values())).leak,
            concept=candidate.concept,
            general_share=candidate.general_share,
        ),
    )

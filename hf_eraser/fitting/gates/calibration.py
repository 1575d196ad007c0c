"""The thresholds of a gate, and how good it is, from scores of examples that did not fit it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def auc(forget: Tensor, retain: Tensor) -> float:
    """
    The probability that a forget score is above a retained one, ties counted half.

    Args:
        forget: (n,) scores.
        retain: (m,) scores.
    """
    retain = retain.sort().values
    below = torch.searchsorted(retain, forget.contiguous(), side="left")
    up_to = torch.searchsorted(retain, forget.contiguous(), side="right")
    return float((below + up_to).to(torch.float64).mean() / (2 * len(retain)))


def group_conformal_threshold(scores: Tensor, groups: Sequence[Hashable], *, alpha: float) -> float:
    """
    The smallest held-out score t such that a retained input of a new group exceeds it with probability at most alpha:

        (1 + sum over groups of the share of the group's scores above t) / (n_groups + 1) <= alpha

    Groups are exchangeable here, examples within a group need not be: hierarchical conformal prediction (Lee, Barber
    and Willett, arXiv 2306.06342). With one score a group it is the split-conformal quantile.

    Args:
        scores: Scores of held-out retained examples, (n,).
        groups: The group of each.
        alpha: The level, in (0, 1).

    Returns:
        The threshold; infinite where there are too few groups for this level, fewer than `1 / alpha - 1`.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"`alpha` must be in (0, 1), got {alpha!r}.")
    sizes: dict[Hashable, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    # A score at the threshold is not above it: the gate is exactly zero up to and including `low`.
    allowed = alpha * (len(sizes) + 1) - 1
    if allowed < -1e-9:
        return float("inf")
    order = scores.argsort(descending=True).tolist()
    above, i = 0.0, 0
    while i < len(order):
        threshold = float(scores[order[i]])
        tied = 0.0
        while i < len(order) and float(scores[order[i]]) == threshold:
            tied += 1 / sizes[groups[order[i]]]
            i += 1
        # Rounding of the shares must not decide.
        if above + tied > allowed + 1e-9:
            return threshold
        above += tied
    return float(scores.min())


# The share of forget inputs that counts as weak: bounds are placed by the score that so many of them are below.
WEAK = 0.02


@dataclass(frozen=True)
class Thresholds:
    """
    Thresholds of several gates that hold for all of them together.

    Attributes:
        values: A threshold for each gate, on the scale of its scores.
        alpha: The level that they hold for together.
    """

    values: list[float]
    alpha: float


class _Scale:
    """
    One gate's scores on a scale on which gates can be compared: 0 is an average retained input, 1 the weakest forget
    inputs, and above it counts the share of forget inputs that are below. One threshold on it misses as many forget
    inputs of each gate, however their scores spread.
    """

    def __init__(self, forget: Tensor, retain: Tensor) -> None:
        ordered = forget.to(torch.float64).sort().values
        weak = torch.quantile(ordered, WEAK)
        start = retain.mean() if retain.mean() < weak else weak - retain.std(correction=0).clamp(min=1e-12)
        above = ordered[ordered > weak]
        share = torch.searchsorted(ordered, above, right=True).to(torch.float64) / len(ordered)
        self._scores = np.array([float(start), float(weak), *above.tolist()])
        self._places = np.array([0.0, 1.0, *(1 + share).tolist()])

    def place(self, scores: Tensor) -> Tensor:
        """Where scores are on the common scale, (n,), float64."""
        return torch.from_numpy(_interpolated(scores.numpy(), self._scores, self._places))

    def score(self, place: float) -> float:
        """The score at a place of the common scale."""
        return float(_interpolated(np.array([place]), self._places, self._scores)[0])


def _interpolated(values: NDArray[np.float64], known: NDArray[np.float64], other: NDArray[np.float64]) -> Any:
    """A straight line between the known pairs, and beyond them on with the slope of the first piece."""
    slope = (other[1] - other[0]) / (known[1] - known[0])
    found = np.interp(values, known, other)
    found = np.where(values < known[0], other[0] + (values - known[0]) * slope, found)
    return np.where(values > known[-1], other[-1] + (values - known[-1]) * slope, found)


def joint_thresholds(
    forget: Sequence[Tensor], retain: Sequence[Tensor], groups: Sequence[Hashable], *, alpha: float
) -> Thresholds:
    """
    Thresholds of several gates such that a retained input of a new group exceeds any of theirs with probability at
    most alpha, and as many gates as can be recognise what they are for.

    They are conformal for the largest of an input's scores, on a scale on which one threshold misses as many forget
    inputs of each gate. Where that misses some, because a gate cannot tell its own, the hardest gates are given a
    level of their own, one after the other, and the others the rest: P(any) is at most the sum.

    Args:
        forget: The scores of held-out forget examples, each gate's own, (n_k,).
        retain: Each gate's scores of the same held-out retained examples, (n,).
        groups: The group of each retained example.
        alpha: The level, in (0, 1), one that the groups support.
    """
    if len(retain) == 1:
        return Thresholds([group_conformal_threshold(retain[0], groups, alpha=alpha)], alpha)
    scales = [_Scale(of_gate, others) for of_gate, others in zip(forget, retain)]
    places = [scale.place(of_gate) for scale, of_gate in zip(scales, retain)]
    n = len(scales)
    supported = supported_alpha(len(set(groups)))

    def common(gates: Sequence[int], level: float) -> list[float]:
        largest = torch.stack([places[k] for k in gates]).amax(dim=0)
        # Rounding must not put the score that is at the threshold above it.
        threshold = group_conformal_threshold(largest, groups, alpha=level) + 1e-9
        return [scales[k].score(threshold) for k in gates]

    own = [float(of_gate.max()) for of_gate in places]
    hardest = sorted(range(n), key=lambda k: -own[k])
    best: tuple[tuple[int, float], Thresholds] | None = None
    for apart in range(n):
        level_apart = max(alpha / n, supported)
        level = max(alpha - apart * level_apart, supported)
        together = hardest[apart:]
        values = dict(zip(together, common(together, level)))
        for k in hardest[:apart]:
            (values[k],) = common([k], level_apart)
        rates = [float((forget[k] > values[k]).double().mean()) for k in range(n)]
        key = sum(rate >= 1 - WEAK for rate in rates), sum(rates)
        if best is None or key > best[0]:
            best = key, Thresholds([values[k] for k in range(n)], level + apart * level_apart)
        if key[0] == n:
            break
    assert best is not None
    return best[1]


def separate_thresholds(
    known: Sequence[tuple[Tensor, Tensor]], retain: Sequence[Tensor], groups: Sequence[Hashable], *, alpha: float
) -> Thresholds:
    """
    As `joint_thresholds`, from scores that had no part in what they are compared on: one conformal threshold for the
    largest of an input's places, on scales that other examples made. Then P(any gate opens) is at most alpha in finite
    samples, for inputs from groups that are exchangeable with these.

    Args:
        known: For each gate, forget and retained scores of the other examples, (n,) and (m,).
        retain: Each gate's scores of the retained examples that calibrate, (n,).
        groups: The group of each of those.
        alpha: The level, in (0, 1).
    """
    scales = [_Scale(forget, others) for forget, others in known]
    largest = torch.stack([scale.place(scores) for scale, scores in zip(scales, retain)]).amax(dim=0)
    threshold = group_conformal_threshold(largest, groups, alpha=alpha) + 1e-9
    return Thresholds([scale.score(threshold) for scale in scales], alpha)


def general_thresholds(forget: Sequence[Tensor], general: Sequence[Tensor], *, alpha: float) -> list[float]:
    """
    As `joint_thresholds`, for general traffic, each prompt of which is a group: one exceeds any of the gates'
    thresholds with probability at most alpha, or the smallest level that the prompts support, if that is above alpha.

    Args:
        forget: The scores of held-out forget examples, each gate's own, (n_k,).
        general: Each gate's scores of the same held-out general prompts, (n,).
        alpha: The level, in (0, 1).

    Returns:
        A threshold for each gate; minus infinity where there is no general traffic.
    """
    n = len(general[0])
    if not n:
        return [-float("inf")] * len(general)
    return joint_thresholds(forget, general, range(n), alpha=max(alpha, supported_alpha(n))).values


def threshold_that_misses(forget: Tensor, share: float) -> float:
    """The threshold that this share of the forget scores, (n,), is not above, and no more."""
    # A gate is closed up to its threshold, so that must be below the score that is to open it.
    return float(torch.quantile(forget, share, interpolation="lower")) - 1e-9


def group_mean(values: Tensor, groups: Sequence[Hashable]) -> float:
    """
    The mean over groups of each group's mean: a group counts once, however many examples it has.

    Args:
        values: (n,).
        groups: The group of each.
    """
    of_group: dict[Hashable, list[float]] = {}
    for value, group in zip(values.tolist(), groups):
        of_group.setdefault(group, []).append(value)
    return sum(sum(members) / len(members) for members in of_group.values()) / len(of_group)


def supported_alpha(n_groups: int) -> float:
    """The smallest level for which `n_groups` calibration groups give a finite threshold, `1 / (n_groups + 1)`."""
    return 1 / (n_groups + 1)


@dataclass(frozen=True)
class Bounds:
    """
    The bounds of a calibrated gate: exactly 0 up to `low`, 1 from `high` on.

    Attributes:
        low: At least the conformal threshold.
        high: Above `low`.
    """

    low: float
    high: float


def calibrate(forget: Tensor, threshold: float) -> Bounds:
    """
    Place the bounds between what retained inputs score and what forget inputs score.

    Where there is a gap between the conformal threshold and the weaker forget scores, `low` is put two thirds into it:
    the guarantee of the threshold holds above it as well, and inputs unlike any seen are left alone. The gate is fully
    open from five sixths on, so that forget inputs that score lower than any seen are still steered in full; and where
    it is half open, they are refused all the same, since strengths are chosen with room downwards.

    Args:
        forget: Scores of held-out forget examples, (n,).
        threshold: The conformal threshold of the retained ones.

    Returns:
        The bounds; infinite ones, which never steer, for an infinite threshold.
    """
    if threshold == float("inf"):
        return Bounds(threshold, threshold)
    weakest = float(torch.quantile(forget.to(torch.float64), WEAK))
    gap = weakest - threshold
    if gap > 0:
        return Bounds(threshold + 2 * gap / 3, threshold + 5 * gap / 6)
    # The two overlap: whatever is above the threshold is steered, in full from the lower quartile of forget scores on.
    high = float(torch.quantile(forget.to(torch.float64), 0.25))
    if high <= threshold:
        high = threshold + max(abs(threshold) * 1e-3, 1e-6)
    return Bounds(threshold, high)

"""The thresholds of a gate, and how good it is, from scores of examples that did not fit it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
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


def joint_thresholds(scores: Sequence[Tensor], groups: Sequence[Hashable], *, alpha: float) -> list[float]:
    """
    Thresholds of several gates such that a retained input of a new group exceeds any of theirs with probability at
    most alpha: conformal for the largest of an input's scores, each in standard deviations of the gate's scores.

    Args:
        scores: Each gate's scores of the same held-out retained examples, (n,).
        groups: The group of each example.
        alpha: The level, in (0, 1).

    Returns:
        A threshold for each gate; with one gate, `group_conformal_threshold`.
    """
    if len(scores) == 1:
        return [group_conformal_threshold(scores[0], groups, alpha=alpha)]
    means = [of_gate.mean() for of_gate in scores]
    spreads = [of_gate.std(correction=0).clamp(min=1e-12) for of_gate in scores]
    largest = torch.stack([(s - mean) / spread for s, mean, spread in zip(scores, means, spreads)]).amax(dim=0)
    # Rounding must not put the score that is at the threshold above it.
    threshold = group_conformal_threshold(largest, groups, alpha=alpha) + 1e-9
    return [float(mean + threshold * spread) for mean, spread in zip(means, spreads)]


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

    Where there is a gap between the conformal threshold and the weaker forget scores, `low` is put a third into it:
    the guarantee of the threshold holds above it as well, and inputs unlike any seen are left alone. The gate is fully
    open two thirds into it, so that forget inputs that score lower than any seen are still steered in full.

    Args:
        forget: Scores of held-out forget examples, (n,).
        threshold: The conformal threshold of the retained ones.

    Returns:
        The bounds; infinite ones, which never steer, for an infinite threshold.
    """
    if threshold == float("inf"):
        return Bounds(threshold, threshold)
    weakest = float(torch.quantile(forget.to(torch.float64), 0.02))
    gap = weakest - threshold
    if gap > 0:
        return Bounds(threshold + gap / 3, threshold + 2 * gap / 3)
    # The two overlap: whatever is above the threshold is steered, in full from the lower quartile of forget scores on.
    high = float(torch.quantile(forget.to(torch.float64), 0.25))
    if high <= threshold:
        high = threshold + max(abs(threshold) * 1e-3, 1e-6)
    return Bounds(threshold, high)

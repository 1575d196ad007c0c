"""The regularised discriminant: the gate that best tells forget from retained inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .moments import Moments


def ridge_gates(forget: Moments, retain: Sequence[tuple[Moments, float]], *, ridges: Sequence[float]) -> Tensor:
    """
    Fisher's discriminant with a ridge, both classes weighted alike, for several ridges at once:

        w = (C + ridge tr(C)/d I)^-1 (mean F - mean R)

    with C the balanced covariance about the mean of the two class means. A score `w . r` then rises from retained to
    forget inputs; where it crosses the threshold is left to calibration.

    Args:
        forget: Moments of the forget readouts.
        retain: Moments of the retained readouts; of several kinds of them, each with its share, however many there
            are of it. Shares sum to 1.
        ridges: Ridges relative to the mean variance, each positive.

    Returns:
        (len(ridges), d), float64.

    Raises:
        ValueError: If a ridge is not positive or a class is empty.
    """
    if not all(ridge > 0 for ridge in ridges):
        raise ValueError(f"`ridges` must all be positive, got {list(ridges)!r}.")
    counts = [moments.count for moments, _ in retain]
    if not forget.count or not all(counts):
        raise ValueError(f"Both classes need examples, got {forget.count} forget and {counts} retained.")
    classes = [(forget, 0.5), *((moments, share / 2) for moments, share in retain)]
    center = torch.stack([weight * moments.mean for moments, weight in classes]).sum(dim=0)
    mean_retain = 2 * (center - forget.mean / 2)
    few = [moments.vectors for moments, _ in classes]
    if sum(moments.count for moments, _ in classes) < forget.dim and all(rows is not None for rows in few):
        scaled = [
            (rows - center) * (weight / len(rows)) ** 0.5
            for rows, (_, weight) in zip(few, classes)
            if rows is not None
        ]
        # The means' difference is B^T a for this a: it is linear in the rows, each class's shares sum to 1.
        target = torch.cat(
            [
                rows.new_full((len(rows),), sign * 2 * (weight / len(rows)) ** 0.5)
                for rows, (_, weight), sign in zip(scaled, classes, [1, *[-1] * len(retain)])
            ]
        )
        return _of_few(torch.cat(scaled), target, ridges)
    # The mean of both classes' covariances about `center`: what is linear in it cancels, since it is their mean.
    second = torch.stack([weight * moments.second_moment for moments, weight in classes]).sum(dim=0)
    values, vectors = torch.linalg.eigh(second - torch.outer(center, center))  # once for all ridges
    values = values.clamp(min=0)
    difference = vectors.T @ (forget.mean - mean_retain)
    floor = values.mean().clamp(min=torch.finfo(torch.float64).tiny)
    return torch.stack([vectors @ (difference / (values + ridge * floor)) for ridge in ridges])


def _of_few(rows: Tensor, target: Tensor, ridges: Sequence[float]) -> Tensor:
    """
    The same from fewer vectors than they are wide, (n, d), by a system of n instead of d unknowns.

    With B the centred vectors, each scaled so that C = B^T B, and a such that the means' difference is B^T a, it is
    w = B^T (B B^T + ridge tr(C)/d I)^-1 a.
    """
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    values = values.clamp(min=0)
    floor = (values.sum() / rows.shape[1]).clamp(min=torch.finfo(torch.float64).tiny)
    target = vectors.T @ target
    return torch.stack([rows.T @ (vectors @ (target / (values + ridge * floor))) for ridge in ridges])

"""The regularised discriminant: the gate that best tells forget from retained inputs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .moments import Moments


def ridge_gates(forget: Moments, retain: Moments, *, ridges: Sequence[float]) -> Tensor:
    """
    Fisher's discriminant with a ridge, both classes weighted alike, for several ridges at once:

        w = (C + ridge tr(C)/d I)^-1 (mean F - mean R)

    with C the balanced covariance about the mean of the two class means. A score `w . r` then rises from retained to
    forget inputs; where it crosses the threshold is left to calibration.

    Args:
        forget: Moments of the forget readouts.
        retain: Moments of the retained readouts.
        ridges: Ridges relative to the mean variance, each positive.

    Returns:
        (len(ridges), d), float64.

    Raises:
        ValueError: If a ridge is not positive or a class is empty.
    """
    if not all(ridge > 0 for ridge in ridges):
        raise ValueError(f"`ridges` must all be positive, got {list(ridges)!r}.")
    if not forget.count or not retain.count:
        raise ValueError(f"Both classes need examples, got {forget.count} forget and {retain.count} retained.")
    few = forget.vectors, retain.vectors
    if few[0] is not None and few[1] is not None and len(few[0]) + len(few[1]) < forget.dim:
        return _of_few(few[0], few[1], ridges)
    center = (forget.mean + retain.mean) / 2
    # The mean of both classes' covariances about `center`: what is linear in it cancels, since it is their mean.
    covariance = (forget.second_moment + retain.second_moment) / 2 - torch.outer(center, center)
    values, vectors = torch.linalg.eigh(covariance)  # once for all ridges
    values = values.clamp(min=0)
    difference = vectors.T @ (forget.mean - retain.mean)
    floor = values.mean().clamp(min=torch.finfo(torch.float64).tiny)
    return torch.stack([vectors @ (difference / (values + ridge * floor)) for ridge in ridges])


def _of_few(forget: Tensor, retain: Tensor, ridges: Sequence[float]) -> Tensor:
    """
    The same from fewer vectors than they are wide, (n, d) and (m, d), by a system of n + m instead of d unknowns.

    With B the centred vectors, each scaled so that C = B^T B, and a such that the means' difference is B^T a, it is
    w = B^T (B B^T + ridge tr(C)/d I)^-1 a.
    """
    center = (forget.mean(dim=0) + retain.mean(dim=0)) / 2
    scales = [(2 * len(of_class)) ** -0.5 for of_class in (forget, retain)]
    rows = torch.cat([(of_class - center) * scale for of_class, scale in zip((forget, retain), scales)])
    target = torch.cat(
        [forget.new_full((len(forget),), 2 * scales[0]), retain.new_full((len(retain),), -2 * scales[1])]
    )
    values, vectors = torch.linalg.eigh(rows @ rows.T)
    values = values.clamp(min=0)
    floor = (values.sum() / rows.shape[1]).clamp(min=torch.finfo(torch.float64).tiny)
    target = vectors.T @ target
    return torch.stack([rows.T @ (vectors @ (target / (values + ridge * floor))) for ridge in ridges])

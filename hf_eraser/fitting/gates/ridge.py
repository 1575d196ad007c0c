"""The regularised discriminant: the gate that best tells forget from retained inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .moments import Moments


@dataclass(frozen=True)
class RetainedClass:
    """
    The retained class of a discriminant, decomposed once for all concepts and ridges.

    Attributes:
        mean: Its mean, (d,), float64.
        values, vectors: Half of its covariance is `vectors diag(values) vectors^T`; (m,), (d, m), float64. m is d, or
            the number of inputs where they are fewer.
    """

    mean: Tensor
    values: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, kinds: Sequence[tuple[Moments, float]]) -> RetainedClass:
        """
        Args:
            kinds: Moments of each kind of retained readouts, with its share of the class, however many there are of
                it. Shares sum to 1.

        Raises:
            ValueError: If there are none of a kind.
        """
        counts = [moments.count for moments, _ in kinds]
        if not all(counts):
            raise ValueError(f"Retained inputs need examples of each kind, got {counts}.")
        mean = torch.stack([share * moments.mean for moments, share in kinds]).sum(dim=0)
        few = [moments.vectors for moments, _ in kinds]
        if sum(counts) < len(mean) and all(rows is not None for rows in few):
            scaled = [
                (rows - mean) * (share / 2 / len(rows)) ** 0.5
                for rows, (_, share) in zip(few, kinds)
                if rows is not None
            ]
            _, roots, transposed = torch.linalg.svd(torch.cat(scaled), full_matrices=False)
            return cls(mean, roots.square(), transposed.T)
        second = torch.stack([share / 2 * moments.second_moment for moments, share in kinds]).sum(dim=0)
        values, vectors = torch.linalg.eigh(second - torch.outer(mean, mean) / 2)
        return cls(mean, values.clamp(min=0), vectors)


def ridge_gates(forget: Tensor, retained: RetainedClass, *, ridges: Sequence[float]) -> Tensor:
    """
    Fisher's discriminant with a ridge, both classes weighted alike, for several ridges at once:

        w = (C + ridge tr(C)/d I)^-1 (mean F - mean R)

    with C the balanced covariance about the mean of the two class means. A score `w . r` then rises from retained to
    forget inputs; where it crosses the threshold is left to calibration.

    C is half the retained covariance A and `U^T U` of few rows U: the forget inputs', and half the means' difference,
    which is the last one. So by Woodbury's identity, with e the last unit vector,

        w = 2 B^-1 U^T (I + U B^-1 U^T)^-1 e,  B = A + ridge tr(C)/d I

    Args:
        forget: The forget readouts, (n, d), float64.
        retained: The retained class.
        ridges: Ridges relative to the mean variance, each positive.

    Returns:
        (len(ridges), d), float64.

    Raises:
        ValueError: If a ridge is not positive or there are no forget readouts.
    """
    if not all(ridge > 0 for ridge in ridges):
        raise ValueError(f"`ridges` must all be positive, got {list(ridges)!r}.")
    if not len(forget):
        raise ValueError("The forget class needs examples, got none.")
    mean, dim = forget.mean(dim=0), forget.shape[1]
    difference = mean - retained.mean
    rows = torch.cat([(forget - mean) / (2 * len(forget)) ** 0.5, difference[None] / 2])
    values, vectors = retained.values, retained.vectors
    floor = (values.sum() + rows.square().sum()) / dim
    floor = floor.clamp(min=torch.finfo(torch.float64).tiny)
    if len(rows) >= dim:
        values, vectors = torch.linalg.eigh((vectors * values) @ vectors.T + rows.T @ rows)
        rotated = vectors.T @ difference
        return torch.stack([vectors @ (rotated / (values.clamp(min=0) + ridge * floor)) for ridge in ridges])
    inside = rows @ vectors
    # What of U is outside of the retained class, where B is the ridge alone.
    complete = vectors.shape[1] == dim
    outside = torch.zeros_like(rows) if complete else rows - inside @ vectors.T
    gram = outside @ outside.T
    last = torch.zeros(len(rows), 1, dtype=torch.float64)
    last[-1] = 2
    found = []
    for ridge in ridges:
        spread = values + ridge * floor
        system = (inside / spread) @ inside.T + gram / (ridge * floor)
        system.diagonal().add_(1)
        share = torch.linalg.solve(system, last)[:, 0]
        found.append(vectors @ ((share @ inside) / spread) + share @ outside / (ridge * floor))
    return torch.stack(found)

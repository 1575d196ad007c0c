"""The regularised discriminant: the gate that best tells forget from retained inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .moments import Moments


# From so many concepts on, one decomposition of what they share takes less time than a system for each and each ridge.
_MANY = 5


@dataclass(frozen=True)
class RetainedClass:
    """
    The retained class of a discriminant, the same for all concepts and ridges.

    Attributes:
        mean: Its mean, (d,), float64.
        rows: (m, d), float64, with half of its covariance `rows^T rows`, where there are fewer inputs than dimensions.
        covariance: Half of its covariance, (d, d), float64, where there are not.
    """

    mean: Tensor
    rows: Tensor | None
    covariance: Tensor | None

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
            return cls(mean, torch.cat(scaled), None)
        # In place: of the largest d, each d x d matrix is half a gibibyte.
        covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64, device=mean.device)
        for moments, share in kinds:
            covariance.add_(moments.total, alpha=share / 2 / moments.count)
        return cls(mean, None, covariance.addr_(mean, mean, alpha=-0.5))

    @property
    def trace(self) -> Tensor:
        """Half of the sum of variances."""
        if self.rows is not None:
            return self.rows.square().sum()
        assert self.covariance is not None
        return self.covariance.trace()

    @cached_property
    def decomposed(self) -> tuple[Tensor, Tensor]:
        """
        Half of its covariance is `vectors diag(values) vectors^T`: values, (m,), and vectors, (d, m). m is d, or the
        number of inputs where they are fewer.
        """
        if self.covariance is not None:
            values, vectors = torch.linalg.eigh(self.covariance)
            return values.clamp(min=0), vectors
        assert self.rows is not None
        _, roots, transposed = torch.linalg.svd(self.rows, full_matrices=False)
        return roots.square(), transposed.T


def ridge_gates(forget: Sequence[Tensor], retained: RetainedClass, *, ridges: Sequence[float]) -> list[Tensor]:
    """
    Fisher's discriminant with a ridge, both classes weighted alike, for several concepts and ridges at once:

        w = (C + ridge tr(C)/d I)^-1 (mean F - mean R)

    with C the balanced covariance about the mean of the two class means. A score `w . r` then rises from retained to
    forget inputs; where it crosses the threshold is left to calibration.

    C is half the retained covariance A and `U^T U` of few rows U: the forget inputs', and half the means' difference.

    Args:
        forget: The forget readouts of each concept, (n, d), float64.
        retained: The retained class.
        ridges: Ridges relative to the mean variance, each positive.

    Returns:
        For each concept (len(ridges), d), float64.

    Raises:
        ValueError: If a ridge is not positive or there are no forget readouts.
    """
    if not all(ridge > 0 for ridge in ridges):
        raise ValueError(f"`ridges` must all be positive, got {list(ridges)!r}.")
    if not all(len(of_concept) for of_concept in forget):
        raise ValueError("The forget class needs examples, got none.")
    solve = _by_decomposition if len(forget) >= _MANY else _by_systems
    found = []
    for of_concept in forget:
        mean, dim = of_concept.mean(dim=0), of_concept.shape[1]
        difference = mean - retained.mean
        rows = torch.cat([(of_concept - mean) / (2 * len(of_concept)) ** 0.5, difference[None] / 2])
        floor = ((retained.trace + rows.square().sum()) / dim).clamp(min=torch.finfo(torch.float64).tiny)
        found.append(solve(rows, retained, [ridge * floor for ridge in ridges]))
    return found


def _by_systems(rows: Tensor, retained: RetainedClass, ridges: Sequence[Tensor]) -> Tensor:
    """A Cholesky factor for each ridge, of whichever is smaller: C, or the Gram matrix of the rows Z that make it."""
    right = 2 * rows[-1]
    if retained.rows is None:
        assert retained.covariance is not None
        return _solved(retained.covariance, rows, right, ridges)
    every = torch.cat([retained.rows, rows])
    if len(every) >= every.shape[1]:
        return _solved(retained.rows.T @ retained.rows, rows, right, ridges)
    # (Z^T Z + r I)^-1 Z^T = Z^T (Z Z^T + r I)^-1, and the means' difference is twice the last row.
    last = every.new_zeros(len(every))
    last[-1] = 2
    return _solved(every @ every.T, every.new_empty(0, len(every)), last, ridges) @ every


def _solved(matrix: Tensor, rows: Tensor, right: Tensor, ridges: Sequence[Tensor]) -> Tensor:
    """`(matrix + rows^T rows + r I)^-1 right` for each ridge r, with one more matrix in memory."""
    found = []
    system = torch.empty_like(matrix)
    for ridge in ridges:

        def fill(ridge: Tensor = ridge) -> Tensor:
            system.copy_(matrix).addmm_(rows.T, rows).diagonal().add_(ridge)
            return system

        info = torch.empty((), dtype=torch.int32, device=matrix.device)
        factor, _ = torch.linalg.cholesky_ex(fill(), out=(system, info))
        if not info:
            found.append(torch.cholesky_solve(right[:, None], factor)[:, 0])
            continue
        # A ridge so small that rounding decides.
        values, vectors = torch.linalg.eigh(fill())
        found.append(vectors @ ((vectors.T @ right) / torch.maximum(values, ridge)))
    return torch.stack(found)


def _by_decomposition(rows: Tensor, retained: RetainedClass, ridges: Sequence[Tensor]) -> Tensor:
    """
    By Woodbury's identity, with e the last unit vector, B = A + r I and U the rows:

        w = 2 B^-1 U^T (I + U B^-1 U^T)^-1 e
    """
    values, vectors = retained.decomposed
    if len(rows) >= rows.shape[1]:
        return _by_systems(rows, retained, ridges)
    inside = rows @ vectors
    # What of U is outside of the retained class, where B is the ridge alone.
    complete = vectors.shape[1] == rows.shape[1]
    outside = torch.zeros_like(rows) if complete else rows - inside @ vectors.T
    gram = outside @ outside.T
    last = rows.new_zeros(len(rows), 1)
    last[-1] = 2
    found = []
    for ridge in ridges:
        spread = values + ridge
        system = (inside / spread) @ inside.T + gram / ridge
        system.diagonal().add_(1)
        share = torch.linalg.solve(system, last)[:, 0]
        found.append(vectors @ ((share @ inside) / spread) + share @ outside / ridge)
    return torch.stack(found)

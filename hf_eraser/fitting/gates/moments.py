"""First and second moments of readout vectors, accumulated in float64 without keeping the vectors."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """
    Count, sum and uncentred second moment of the vectors seen so far.

    The d x d second moment is only made once as many vectors came as they are wide; until then the vectors themselves
    take less room. Memory so never exceeds O(d^2), however many vectors come.

    Args:
        dim: d, the vectors' width.
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self.count = 0
        self.sum = torch.zeros(dim, dtype=torch.float64)
        self._rows: list[Tensor] = []
        self._n_rows = 0
        self._second: Tensor | None = None

    def add(self, vectors: Tensor) -> None:
        """
        Args:
            vectors: (n, d), any floating dtype.
        """
        vectors = vectors.detach().to("cpu", torch.float64)
        self.count += len(vectors)
        self.sum += vectors.sum(dim=0)
        self._rows.append(vectors)
        self._n_rows += len(vectors)
        if self._n_rows >= self.dim:
            self._fold()

    def _fold(self) -> None:
        if self._second is None:
            self._second = torch.zeros(self.dim, self.dim, dtype=torch.float64)
        if self._rows:
            rows = torch.cat(self._rows)
            self._second.addmm_(rows.T, rows)
        self._rows, self._n_rows = [], 0

    @property
    def vectors(self) -> Tensor | None:
        """The vectors themselves, (count, d), float64, while they are kept."""
        return torch.cat(self._rows) if self._second is None and self._rows else None

    @property
    def mean(self) -> Tensor:
        """(d,), float64."""
        return self.sum / max(self.count, 1)

    @property
    def second_moment(self) -> Tensor:
        """The mean of `x x^T` over the vectors, (d, d), float64."""
        self._fold()
        assert self._second is not None
        return self._second / max(self.count, 1)

    def without(self, part: Moments) -> Moments:
        """The moments of the vectors that are here and not in `part`, all of whose vectors are here."""
        rest = Moments(self.dim)
        rest.count, rest.sum = self.count - part.count, self.sum - part.sum
        rest._second = self.second_moment * self.count - part.second_moment * part.count
        return rest

"""First and second moments of readout vectors, accumulated in float64 without keeping the vectors."""

from __future__ import annotations

import torch
from torch import Tensor


# Rows that are brought to float64 at a time.
_BLOCK = 1024


class Moments:
    """
    Count, sum and uncentred second moment of vectors.

    The d x d second moment is only made once as many vectors came as they are wide; until then the vectors themselves
    take less room. Memory so never exceeds O(d^2), however many vectors come.

    Args:
        dim: d, the vectors' width.
        device: Where they are kept, and all that follows is computed.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self.dim = dim
        self.device = torch.device(device)
        self.count = 0
        self.sum = torch.zeros(dim, dtype=torch.float64, device=device)
        self._rows: list[Tensor] = []
        self._second: Tensor | None = None

    def add(self, vectors: Tensor) -> None:
        """
        Args:
            vectors: (n, d), any floating dtype.
        """
        fold = self._second is not None or self.count + len(vectors) >= self.dim
        self.count += len(vectors)
        for block in vectors.detach().split(_BLOCK):
            rows = block.to(self.device, torch.float64)
            self.sum += rows.sum(dim=0)
            if fold:
                self._fold()
                self._second_of(rows)
            else:
                self._rows.append(rows)

    def _second_of(self, rows: Tensor) -> None:
        if self._second is None:
            self._second = torch.zeros(self.dim, self.dim, dtype=torch.float64, device=self.device)
        self._second.addmm_(rows.T, rows)

    def _fold(self) -> None:
        if self._rows:
            self._second_of(torch.cat(self._rows))
            self._rows = []

    @property
    def vectors(self) -> Tensor | None:
        """The vectors themselves, (count, d), float64, while they are kept."""
        return torch.cat(self._rows) if self._second is None and self._rows else None

    @property
    def mean(self) -> Tensor:
        """(d,), float64."""
        return self.sum / max(self.count, 1)

    @property
    def total(self) -> Tensor:
        """The sum of `x x^T` over the vectors, (d, d), float64; not to be changed."""
        self._fold()
        return torch.zeros(self.dim, self.dim, dtype=torch.float64) if self._second is None else self._second

    @property
    def second_moment(self) -> Tensor:
        """The mean of `x x^T` over the vectors, (d, d), float64."""
        return self.total / max(self.count, 1)

    def without(self, part: Moments) -> Moments:
        """The moments of the vectors that are here and not in `part`, all of whose vectors are here."""
        rest = Moments(self.dim, self.device)
        rest.count, rest.sum = self.count - part.count, self.sum - part.sum
        rest._second = self.total - part.total
        return rest

"""Readouts of some of the held-out examples, kept while all are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ...tuner.gate import Modality
from ..reading.capture import Captured
from .places import Place, rows_of


# Of each class and modality, readouts that are kept of every place until a gate is chosen.
_READOUTS = 120


class Sample:
    """
    Readouts of some of the examples that judge gates, drawn beforehand: their number does not grow with the examples'.

    Args:
        modalities: The modality of each.
        seed: Seed of the draw.
    """

    def __init__(self, modalities: Sequence[Modality], *, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._views: set[int] = set()
        for modality in ("image", "text"):
            there = [i for i, found in enumerate(modalities) if found == modality]
            self._views.update(rng.permutation(there)[:_READOUTS].tolist())
        self._rows: dict[Place, list[Tensor]] = {}
        self._seen: dict[Modality, int] = {"image": 0, "text": 0}
        #: Which of a modality's scores belong to the readouts that are kept.
        self.positions: dict[Modality, list[int]] = {"image": [], "text": []}

    def watch(self, batches: Iterable[Captured], places: Sequence[Place]) -> Iterator[Captured]:
        """Hand on batches, and keep from each place what was drawn."""
        for batch in batches:
            kept: dict[Modality, list[int]] = {}
            for modality, positions in self.positions.items():
                rows = rows_of(batch, modality)
                kept[modality] = [row for row in rows if batch.indices[row] in self._views]
                positions += [self._seen[modality] + rows.index(row) for row in kept[modality]]
                self._seen[modality] += len(rows)
            for place in places:
                if kept[place.modality]:
                    rows_there = batch.sums[place.layer].read(place.readout)[kept[place.modality]]
                    # Enough for a picture, in half the memory.
                    self._rows.setdefault(place, []).append(rows_there.to("cpu", torch.bfloat16))
            yield batch

    def readouts(self, place: Place) -> Tensor:
        """What was kept of a place, (n, d), float64, in the order of `positions`."""
        rows = self._rows.get(place)
        return torch.empty(0, 0, dtype=torch.float64) if rows is None else torch.cat(rows).to(torch.float64)

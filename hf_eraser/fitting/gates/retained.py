"""What was read of retained examples at the places of gates, kept without the examples: for gates that come later."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..reading.capture import Captured
from ..reading.split import Role
from ..reading.views import RETAIN_COPIES, Source, View
from .judging import Candidate, scores_of_rows
from .places import Place, rows_at, rows_of_each_picture
from .solving import Readings


@dataclass
class Retained:
    """
    What was read at one place.

    Attributes:
        fitting: The readouts that fit gates, (n, d), float32.
        roles: The role of each.
        judging: Readouts that judge them, those of prompts with as many pictures together: for each picture by itself,
            (pictures, m, d), float32.
        folds: The fold that each of these judges.
        groups: The group of each of these, as a name that tells nothing.
        general: The readouts of general traffic, (g, d), float32.
        general_folds: The fold that each of these judges.
        general_numbers: Which prompt each of these is.
    """

    fitting: Tensor
    roles: list[Role]
    judging: list[Tensor]
    folds: list[list[int]]
    groups: list[list[str]]
    general: Tensor
    general_folds: list[int]
    general_numbers: list[int]

    def readings(self, dim: int, device: torch.device, left_out: set[int]) -> Readings:
        """What gates are solved from, but for the forget examples; without the general prompts `left_out`."""
        known = Readings(dim, device)
        known.add_retain(self.fitting, self.roles)
        kept = [i for i, number in enumerate(self.general_numbers) if number not in left_out]
        known.add_general(self.general[kept], [self.general_folds[i] for i in kept])
        return known

    def score(self, candidates: Sequence[Candidate]) -> None:
        """
        Score what judges, and all general traffic, by gates of this place, each solved for every fold; the scores are
        added to them. Their order is the same for all gates.
        """
        for rows, folds in zip(self.judging, self.folds):
            for candidate, of_gate in zip(candidates, scores_of_rows(candidates, rows, folds).T):
                candidate.retain_scores.extend(of_gate.tolist())
        if len(self.general):
            scores = scores_of_rows(candidates, self.general[None], self.general_folds)
            for candidate, of_gate in zip(candidates, scores.T):
                candidate.general_scores.extend(of_gate.tolist())

    def without(self, candidate: Candidate, left_out: set[int]) -> Candidate:
        """A scored gate with scores of general traffic but for these prompts."""
        pairs = zip(self.general_numbers, candidate.general_scores)
        return replace(candidate, general_scores=[score for number, score in pairs if number not in left_out])

    @property
    def every_group(self) -> list[Hashable]:
        """The group of each prompt that judges, in the order of the scores."""
        return [group for groups in self.groups for group in groups]

    def to_dict(self) -> dict[str, Any]:
        """The same in tensors and plain values."""
        return {**vars(self), "roles": [(sorted(role.fits), role.judges) for role in self.roles]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Retained:
        """What `to_dict` gave."""
        return cls(**{**values, "roles": [Role(frozenset(fits), judges) for fits, judges in values["roles"]]})


def read_retained(source: Source, places: Sequence[Place], groups: Mapping[Hashable, str]) -> dict[Place, Retained]:
    """
    Read retained examples and general traffic for gates that come later.

    Args:
        source: The examples, with their roles, and the model.
        places: Where the gates will read.
        groups: What each group is to be called.
    """
    layers = sorted({place.layer for place in places})
    found = {place: Retained(torch.empty(0, 0), [], [], [], [], torch.empty(0, 0), [], []) for place in places}
    views, of_view = source.views(source.retain, source.split.retain, copies=RETAIN_COPIES, judging=False)
    batches = source.read(source.retain, layers, views=views, description="Reading retained examples")
    fitting = _rows(batches, places)
    for place, (positions, rows) in fitting.items():
        found[place].fitting, found[place].roles = rows, [of_view[i] for i in positions]
    views = [View(i) for i in range(len(source.general))]
    if views:
        batches = source.read(source.general, layers, views=views, description="Reading general prompts")
    else:
        batches = iter(())
    for place, (positions, rows) in _rows(batches, places).items():
        found[place].general, found[place].general_numbers = rows, positions
        found[place].general_folds = [source.general_folds[i] for i in positions]
    judging = zip(*source.views(source.retain, source.split.retain, copies=RETAIN_COPIES, judging=True))
    chosen = [(view, role) for view, role in judging if role.judges is not None]
    views = [view for view, _ in chosen]
    for batch in source.read(source.retain, layers, views=views, description="Judging by retained examples"):
        for place, kept in found.items():
            indices, of_pictures = rows_of_each_picture(batch, place)
            if indices:
                kept.judging.append(torch.stack([rows.to("cpu", torch.float32) for rows in of_pictures]))
                kept.folds.append([int(chosen[i][1].judges or 0) for i in indices])
                kept.groups.append([groups[source.retain[views[i].example].group] for i in indices])
    return found


def _rows(batches: Iterable[Captured], places: Sequence[Place]) -> dict[Place, tuple[list[int], Tensor]]:
    """Which of the views are of each place's modality, and their readouts there, (n, d), float32."""
    positions: dict[Place, list[int]] = {place: [] for place in places}
    rows: dict[Place, list[Tensor]] = {place: [] for place in places}
    for batch in batches:
        for place in places:
            indices, of_batch = rows_at(batch, place)
            positions[place] += indices
            rows[place].append(of_batch.to("cpu", torch.float32))
    return {place: (positions[place], torch.cat(of) if of else torch.empty(0, 0)) for place, of in rows.items()}

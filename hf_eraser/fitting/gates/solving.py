"""Candidate gates: solved from moments at each place, with each value of the estimator's parameter, in each fold."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..reading.capture import Captured
from ..reading.split import FOLDS, Role
from .moments import Moments
from .nullspace import leak, null_space, nullspace_gate
from .places import Place, rows_at
from .ridge import RetainedClass, ridge_gates


Estimator = Literal["ridge", "nullspace"]

# What a gate is fitted with: a ridge; or a null space, by its share of the directions or by the energy in it.
Parameter = Literal["ridge", "share", "energy"]

RIDGES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)

SHARES = (0.3, 0.6, 0.9)

# The gate's ridge in the null space, relative to the mean squared norm of the projected forget readouts.
_RELATIVE_GAMMA = 1e-3

# Of the retained class, the share of general traffic; each is tried. On a language model of 135 million parameters,
# asked about capitals, gates that saw none of it gave general prompts higher scores than what they were for, and those
# for which it was three quarters told them apart; on the small models, which know little else, gates that see none of
# it tell people apart better.
GENERAL_SHARES = (0.0, 0.25, 0.75)

# Retained readouts are kept while there are no more than so many times their width, which is less than the moments of
# each fold. Then so many at a time are added to these.
_MOST_ROWS, _FOLDED = 4, 1024

# Rows that are kept in one piece.
_BLOCK = 128

# Beside the folds, the fit on all examples: the one that is delivered.
ALL = FOLDS


class Readings:
    """
    What the first pass leaves of one place: the readouts of forget examples and of general traffic, and those of the
    retained ones, or no more than moments of them where they would take more memory.

    Args:
        dim: d, the readouts' width.
        device: Where gates are solved.
    """

    def __init__(self, dim: int, device: torch.device | str = "cpu") -> None:
        self.dim = dim
        self.device = torch.device(device)
        self._retain = _Rows()
        self._retain_roles: list[Role] = []
        self._moments: dict[int, Moments] | None = None
        self._forget = _Rows()
        self._roles: list[Role] = []
        self._concepts: list[Hashable] = []
        self._general = _Rows()
        self._general_folds: list[int] = []

    def add_general(self, rows: Tensor, folds: Sequence[int]) -> None:
        """Add readouts of general traffic, (n, d), each of which judges a fold and fits the others."""
        self._general.add(rows)
        self._general_folds += folds

    def general(self, fold: int, *, judging: bool = False) -> Tensor:
        """The readouts of general traffic that fit a fold (all of them fit `ALL`), or judge it, (n, d), float64."""
        chosen = [row for row, own in enumerate(self._general_folds) if (own == fold) is judging]
        return self._general.at(chosen, self.dim).to(self.device, torch.float64)

    def general_moments(self, fold: int) -> Moments:
        """The moments of the general traffic that fits a fold."""
        moments = Moments(self.dim, self.device)
        moments.add(self.general(fold))
        return moments

    @property
    def has_general(self) -> bool:
        """Whether there is general traffic that fits each fold."""
        return len(set(self._general_folds)) > 1

    def add_forget(self, rows: Tensor, roles: Sequence[Role], concepts: Sequence[Hashable]) -> None:
        """Add forget readouts, (n, d)."""
        self._forget.add(rows)
        self._roles += roles
        self._concepts += concepts

    def add_retain(self, rows: Tensor, roles: Sequence[Role]) -> None:
        """Add retained readouts, (n, d)."""
        self._retain.add(rows)
        self._retain_roles += roles
        if len(self._retain_roles) > (_MOST_ROWS * self.dim if self._moments is None else _FOLDED):
            self._fold()

    def _fold(self) -> None:
        if self._moments is None:
            self._moments = {fold: Moments(self.dim, self.device) for fold in range(FOLDS + 1)}
        for fold, moments in self._moments.items():
            moments.add(self._fitting(fold))
        self._retain, self._retain_roles = _Rows(), []

    def _fitting(self, fold: int) -> Tensor:
        chosen = [row for row, role in enumerate(self._retain_roles) if fold == ALL or fold in role.fits]
        return self._retain.at(chosen, self.dim)

    def retained(self, fold: int) -> Moments:
        """The moments of the retained readouts that fit a fold; made anew each time while the readouts are kept."""
        if self._moments is not None:
            self._fold()
            return self._moments[fold]
        moments = Moments(self.dim, self.device)
        moments.add(self._fitting(fold))
        return moments

    def forget(self, fold: int, concepts: Sequence[Hashable]) -> tuple[Tensor, list[Tensor]]:
        """
        The forget readouts that fit a fold, (n, d), float64, and for each concept which of them are of it, (n,), bool;
        all of them are of None.
        """
        fitting = [row for row, role in enumerate(self._roles) if fold == ALL or fold in role.fits]
        own = [
            torch.tensor([concept in (None, self._concepts[row]) for row in fitting], dtype=torch.bool)
            for concept in concepts
        ]
        return self._forget.at(fitting, self.dim).to(self.device, torch.float64), own


class _Rows:
    """Rows of float32 that come a few at a time, kept in blocks: so no copy of all of them is ever made."""

    def __init__(self) -> None:
        self._blocks: list[Tensor] = []
        self._count = 0

    def add(self, rows: Tensor) -> None:
        rows = rows.to("cpu", torch.float32)
        while len(rows):
            at = self._count % _BLOCK
            if at == 0:
                self._blocks.append(torch.empty(_BLOCK, rows.shape[1]))
            here = rows[: _BLOCK - at]
            self._blocks[-1][at : at + len(here)] = here
            self._count += len(here)
            rows = rows[len(here) :]

    def at(self, positions: Sequence[int], dim: int) -> Tensor:
        """The rows at these positions, which ascend, (n, dim)."""
        wanted = torch.tensor(positions, dtype=torch.long)
        parts = [block[wanted[wanted // _BLOCK == i] % _BLOCK] for i, block in enumerate(self._blocks)]
        return torch.cat(parts) if parts else torch.empty(0, dim)


@dataclass(frozen=True)
class Solution:
    """
    A gate vector: the score is `weight . r - offset`, 0 on an average retained readout that fitted it and 1 on an
    average forget one, so that scores of gates fitted on different examples can be compared.

    Attributes:
        weight: w, (d,), float64.
        offset: The score's offset; always 0 for gates whose score is not compared with bounds.
        leak: As in `GateResult`.
    """

    weight: Tensor
    offset: float
    leak: float | None


def collect(
    readings: dict[Place, Readings],
    batches: Iterable[Captured],
    roles: Sequence[Role],
    concepts: Sequence[Hashable] | None,
) -> None:
    """
    Add batches of one class to what is known at each place.

    Args:
        readings: What is known.
        batches: What was read.
        roles: The role of each example.
        concepts: The concept of each forget example; None for retained ones.
    """
    for batch in batches:
        for place, known in readings.items():
            indices, rows = rows_at(batch, place)
            if not indices:
                continue
            if concepts is None:
                known.add_retain(rows, [roles[i] for i in indices])
            else:
                known.add_forget(rows, [roles[i] for i in indices], [concepts[i] for i in indices])


def collect_general(readings: dict[Place, Readings], batches: Iterable[Captured], folds: Sequence[int]) -> None:
    """
    Add general traffic to what is known at each place.

    Args:
        readings: What is known.
        batches: What was read.
        folds: The fold that each prompt judges.
    """
    for batch in batches:
        for place, known in readings.items():
            indices, rows = rows_at(batch, place)
            if indices:
                known.add_general(rows, [folds[i] for i in indices])


def solve(
    known: Readings,
    fold: int,
    parameter: Parameter,
    values: Sequence[float],
    *,
    centred: bool,
    concepts: Sequence[Hashable] = (None,),
    general_share: float = 0.0,
) -> list[list[Solution]]:
    """
    The gates of one place and fold, for each concept one for each value of the parameter.

    Args:
        known: What was read there.
        fold: The fold, or `ALL`.
        parameter: What gates are fitted with.
        values: The values of it.
        centred: Whether the score of an average retained readout is put at 0. A linear gate has no offset.
        concepts: The concepts. What else is to be forgotten is of neither class to the discriminant, and to the null
            space's regression, as in the paper's matrix, an input that another direction is for.
        general_share: Of the discriminant's retained class, the share of general traffic.
    """
    retain = known.retained(fold)
    retained_mean = retain.mean
    rows, own = known.forget(fold, concepts)
    leaks: list[float | None] = [None] * len(values)
    if parameter == "ridge":
        kinds = [(retain, 1.0)]
        if general_share:
            kinds = [(retain, 1 - general_share), (known.general_moments(fold), general_share)]
        retained = RetainedClass.of(kinds)
        del kinds, retain  # each may be a d x d matrix
        weights = ridge_gates([rows[of_concept] for of_concept in own], retained, ridges=values)
    else:
        bases = [null_space(retain.second_moment, **{parameter: value}) for value in values]
        held_out = retain if fold == ALL else known.retained(ALL).without(retain)
        if held_out.count:
            leaks = [leak(held_out.second_moment, basis) for basis in bases]
        gammas = [_RELATIVE_GAMMA * float((rows @ basis).square().sum(dim=1).mean()) for basis in bases]
        tiny = torch.finfo(torch.float64).tiny
        weights = [
            torch.stack(
                [nullspace_gate(rows, basis, gamma=max(g, tiny), target=of_concept) for basis, g in zip(bases, gammas)]
            )
            for of_concept in own
        ]
    return [
        [
            _scaled(weight, leaked, rows[of_concept].mean(dim=0), retained_mean, centred)
            for weight, leaked in zip(of, leaks)
        ]
        for of, of_concept in zip(weights, own)
    ]


def _scaled(weight: Tensor, leaked: float | None, forget: Tensor, retained: Tensor, centred: bool) -> Solution:
    """A gate vector brought to the scale of scores, by the means of both classes."""
    offset = float(weight @ retained) if centred else 0.0
    distance = float(weight @ forget) - offset
    # Classes with the same mean have no distance, and their gate tells nothing.
    scale = 1 / distance if distance > torch.finfo(torch.float64).eps else 1.0
    return Solution((weight * scale).cpu(), offset * scale, leaked)

"""Forgetting against false steering: what other thresholds would have given, on held-out examples."""

from __future__ import annotations

import torch
from torch import Tensor

from ..report.results import OperatingPoint
from .calibration import group_mean, threshold_that_misses
from .judging import Together


# Shares of each concept's forget examples that thresholds may miss.
_MISSED = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


def trade_off(gates: Together) -> list[OperatingPoint]:
    """The operating points of one place, from the one that forgets most on."""
    candidates, groups = [gate.candidate for gate in gates.gates], gates.gates[0].groups
    points = []
    for missed in _MISSED:
        limits = [threshold_that_misses(c.forget, missed) for c in candidates]

        def opened(scores: list[Tensor], limits: list[float] = limits) -> Tensor:
            return torch.stack([own > limit for own, limit in zip(scores, limits)])

        forget = torch.cat([c.forget > limit for c, limit in zip(candidates, limits)])
        general = opened([c.general for c in candidates]).any(dim=0)
        points.append(
            OperatingPoint(
                modality=gates.place.modality,
                forget_rate=float(forget.double().mean()),
                false_rate=group_mean(opened([c.retain for c in candidates]).any(dim=0).double(), groups),
                general_rate=float(general.double().mean()) if len(general) else None,
            )
        )
    return points

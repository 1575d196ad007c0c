"""The gate: how a readout's score becomes a number between 0 and 1."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .fields import LARGEST, GateMode, Readout
from .readouts import ReadoutSums


Modality = Literal["image", "text"]

# First axis of `steering_gate_weight` and `steering_gate_bounds`.
WITH_IMAGE, TEXT_ONLY = 0, 1


def gate_scores(readout: Tensor, has_image: Tensor, gate_weight: Tensor) -> Tensor:
    """
    The score `w . r` of each prompt, with the gate vector of its modality, the factored form of
    MLLMEraser's steering matrix (arXiv 2510.04217): `W P h = v (w . h)`.

    Args:
        readout: (batch, d), float32.
        has_image: (batch,), bool.
        gate_weight: (2, k, d), float32; first axis: with image, text only.

    Returns:
        (batch, k), float32. A row's score does not depend on the rows beside it, to the last bit.
    """
    weight = torch.where(has_image[:, None, None], gate_weight[WITH_IMAGE], gate_weight[TEXT_ONLY])
    # A product and a sum rather than a matmul, whose order of summation may change with the batch size.
    return (weight * readout[:, None, :]).sum(dim=-1)


def scores_of(sums: ReadoutSums, readout: Readout, text_readout: Readout | None, gate_weight: Tensor) -> Tensor:
    """
    The score of each prompt by what was read of it. Where pictures are read, each is by itself, and the highest of
    their scores counts: beside others a picture is what it is alone.

    Args:
        sums: What was read.
        readout, text_readout: As for `ReadoutSums.read`.
        gate_weight: As for `gate_scores`.

    Returns:
        (batch, k), float32.
    """
    judged = sums.judged_by(readout)
    scores = [gate_scores(one.read(readout, text_readout), sums.has_image, gate_weight) for one in judged]
    return scores[0] if len(scores) == 1 else torch.stack(scores).amax(dim=0)


def gate_values(scores: Tensor, has_image: Tensor, gate_bounds: Tensor, mode: GateMode) -> Tensor:
    """
    The gate of each prompt.

    `"calibrated"`: `clamp((score - low) / (high - low), 0, 1)`, exactly 0 up to `low`; `"linear"`: `max(score, 0)`,
    at most 65504;
    `"always"`: 1. A modality whose `low` is infinite is never steered, except by `"always"`.

    Args:
        scores: (batch, k), float32.
        has_image: (batch,), bool.
        gate_bounds: (2, k, 2), float32; first axis: with image, text only; last axis: low, high.
        mode: How a score becomes a gate.

    Returns:
        (batch, k), float32.
    """
    if mode == "always":
        return torch.ones_like(scores)
    bounds = torch.where(has_image[:, None, None], gate_bounds[WITH_IMAGE], gate_bounds[TEXT_ONLY])
    low, high = bounds.unbind(dim=-1)
    if mode == "linear":
        gate = scores.clamp(0, LARGEST)  # times a direction it stays finite
    else:
        gate = ((scores - low) / (high - low)).clamp(0, 1)
    # Infinite bounds make nan above; they mean that this modality is never steered.
    return torch.where(torch.isfinite(low), gate, 0.0)

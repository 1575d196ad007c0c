"""What a steering tensor may hold: nothing that overflows in the model, and gate bounds that are bounds."""

from __future__ import annotations

import torch
from torch import Tensor

from .config_file import BRIEF
from .fields import LARGEST


_LARGEST_BOUND, _LEAST_APART = 1e30, 1e-30


def check_values(name: str, kind: str, tensor: Tensor, strength: float) -> None:
    """
    Check what a steering tensor holds.

    A direction times the strength must be no longer than what float16 can hold, 65504, and a gate weight no larger
    than that: no fitted adapter comes near, and with less no score, which is a sum over d products, overflows in
    float32.

    Args:
        name: The tensor's name, for the message.
        kind: Which of the steering tensors it is.
        tensor: Its value.
        strength: The strength that directions are used with.

    Raises:
        ValueError: If it holds NaN, infinite or too large values, or gate bounds that are neither finite with
            low < high nor infinite.
    """
    if kind == "steering_gate_bounds":
        check_bounds(name, tensor)
        return
    if not torch.isfinite(tensor).all():
        raise ValueError(f"Tensor {name!r} holds NaN or infinite values: the adapter is broken, fit it again.")
    limit = LARGEST / max(strength, 1.0) if kind == "steering_direction" else LARGEST
    largest = tensor.abs().max().item()
    if largest > limit:
        raise ValueError(
            f"Tensor {name!r} holds values up to {largest:.3g}, at most {limit:.3g} is allowed: more would overflow "
            "in the model. The adapter is broken, fit it again."
        )
    if kind == "steering_direction" and (longest := tensor.double().norm(dim=-1).max().item()) > limit:
        raise ValueError(
            f"Tensor {name!r} holds a direction of norm {longest:.3g}, at most {limit:.3g} is allowed: more is added "
            "than any model's residual stream has. The adapter is broken, fit it again."
        )


def check_bounds(name: str, bounds: Tensor) -> None:
    """
    Raises:
        ValueError: If a gate's bounds, (..., 2), are neither within 1e30, with low < high by 1e-30 at least, nor
            infinite (never steered). Beyond these their difference, by which a score is divided, may become 0 or
            infinite: a processor may take numbers below 1.2e-38 for 0.
    """
    low, high = bounds.unbind(dim=-1)
    never = torch.isposinf(low)
    within = (low.abs() <= _LARGEST_BOUND) & (high.abs() <= _LARGEST_BOUND)
    if not (never | (within & (low < high) & (high - low >= _LEAST_APART))).all():
        raise ValueError(
            f"Tensor {name!r} holds gate bounds {BRIEF.repr(bounds.tolist())}: each pair must be finite with low < "
            "high, or have an infinite low for a modality that is never steered."
        )

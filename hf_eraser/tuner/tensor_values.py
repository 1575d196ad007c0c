"""What a steering tensor may hold: nothing that overflows in the model, and gate bounds that are bounds."""

from __future__ import annotations

import torch
from torch import Tensor

from .config import LARGEST
from .config_file import BRIEF


def check_values(name: str, kind: str, tensor: Tensor, strength: float) -> None:
    """
    Check what a steering tensor holds.

    A direction times the strength must be within what float16 can hold, 65504: added to a residual stream in half
    precision, anything larger would be infinite. A gate weight must be so small that no residual stream within the
    same range makes the score, a sum over d products, overflow in float32.

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
    if kind == "steering_direction":
        limit = LARGEST / max(strength, 1.0)
    else:
        limit = torch.finfo(torch.float32).max / (LARGEST * tensor.shape[-1])
    largest = tensor.abs().max().item()
    if largest > limit:
        raise ValueError(
            f"Tensor {name!r} holds values up to {largest:.3g}, at most {limit:.3g} is allowed: more would overflow "
            "in the model. The adapter is broken, fit it again."
        )


def check_bounds(name: str, bounds: Tensor) -> None:
    """
    Raises:
        ValueError: If a gate's bounds, (..., 2), are neither finite with low < high nor infinite (never steered).
    """
    low, high = bounds.unbind(dim=-1)
    never = torch.isposinf(low)
    if not (never | (torch.isfinite(low) & torch.isfinite(high) & (low < high))).all():
        raise ValueError(
            f"Tensor {name!r} holds gate bounds {BRIEF.repr(bounds.tolist())}: each pair must be finite with low < "
            "high, or have an infinite low for a modality that is never steered."
        )

"""What is unusual about an adapter: things that no fit makes, and that may be there to do harm."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..tuner.fields import SteeringFields


# A fit tries strengths up to 64, and takes one in the middle of those that work.
_STRONG = 32.0

# Directions a layer: time in every forward pass.
_MANY = 64

# At strength 1 a fit adds as much in all steered layers together as the residual stream has: see "Directions".
_TIMES_THE_STREAM = 64.0

# In one number of the residual stream: a 16th of what float16 holds.
_LARGE = 4094.0


def unusual(
    config: SteeringFields, tensors: Mapping[str, Tensor], streams: Mapping[int, float] | None = None
) -> list[str]:
    """
    What no fit makes, in words; empty where there is nothing.

    Args:
        config: The adapter's configuration.
        tensors: Its tensors, by their names in the file.
        streams: The norm of the base model's residual stream, by decoder layer, where it is known.
    """
    found = []
    if config.gate == "always":
        found.append("its gate is always open: every prompt is steered")
    for name, tensor in tensors.items():
        if name.endswith(".steering_gate_bounds"):
            found += _of_bounds(name, tensor, config)
    if config.strength > _STRONG:
        found.append(f"its strength is {config.strength:g}, a fit's is {_STRONG:g} at most")
    if config.rank > _MANY:
        found.append(f"it has {config.rank} directions a layer, each of which costs time in every forward pass")
    for name, tensor in tensors.items():
        if not name.endswith(".steering_direction"):
            continue
        added = tensor.double() * config.strength
        norm, layer = added.norm(dim=-1).max().item(), int(name.split(".")[-2])
        stream = (streams or {}).get(layer)
        if stream is not None and norm > _TIMES_THE_STREAM * stream:
            times = f"{norm / stream:.0f} times the residual stream's" if stream else "to a residual stream of none"
            found.append(f"on layer {layer} it adds a direction of norm {norm:.3g}, {times}")
        elif (largest := added.abs().max().item()) > _LARGE:
            found.append(f"on layer {layer} it adds up to {largest:.3g} to a number of the residual stream")
    return found


def _of_bounds(name: str, bounds: Tensor, config: SteeringFields) -> list[str]:
    """A fit's gates are solved for a score of 0 of what they are to leave alone."""
    if config.gate != "calibrated":
        return []
    lowest = {"with an image": bounds[0, :, 0].min().item(), "of text only": bounds[1, :, 0].min().item()}
    return [
        f"the gate for prompts {kind} on layer {name.split('.')[-2]} opens from a score of {low:.3g} on, and what is "
        "to be left alone scores about 0"
        for kind, low in lowest.items()
        if low < 0
    ]

"""Several adapters as one: their directions and gates side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .config import SteeringAdapterConfig
from .tensor_values import check_values


# What one decision needs to be the same in all of them.
_SHARED = (
    "gate_layer",
    "text_gate_layer",
    "readout",
    "text_readout",
    "gate",
    "positions",
    "steer_decode",
    "answer_ids",
)


def combine(
    adapters: Sequence[tuple[Any, Mapping[tuple[int, str], Tensor]]], weights: Sequence[float]
) -> tuple[SteeringAdapterConfig, dict[tuple[int, str], Tensor]]:
    """
    The adapter that steers as `adapters` do together.

    Each keeps its own gates: directions and gates are put side by side along the axis of the directions, k.

    Args:
        adapters: The resolved configuration and the tensors of each, by layer and kind.
        weights: What each one's strength is multiplied by, each at least 0.

    Returns:
        Configuration and tensors; strengths and weights are multiplied into the directions.

    Raises:
        ValueError: If a weight cannot be used or the adapters' gates differ in how they are read or used.
    """
    if len(weights) != len(adapters) or not all(math.isfinite(weight) and weight >= 0 for weight in weights):
        raise ValueError(
            f"`weights` must be {len(adapters)} finite numbers of at least 0, one for each adapter, got "
            f"{list(weights)!r}."
        )
    configs = [config for config, _ in adapters]
    for name in _SHARED:
        values = [getattr(config, name) for config in configs]
        if any(value != values[0] for value in values):
            raise ValueError(
                f"`adapters` differ in {name!r} ({values}), so one adapter cannot act as they do together. Make them "
                "active together instead: `set_adapter([...])`."
            )
    layers = sorted({layer for config in configs for layer in config.layers_to_transform})
    gate_layers = layers if configs[0].gate_layer is None else configs[0].gate_layers
    keys = [(layer, "steering_direction") for layer in layers]
    keys += [(layer, kind) for layer in gate_layers for kind in ("steering_gate_weight", "steering_gate_bounds")]
    tensors = {}
    for layer, kind in keys:
        parts = []
        for (config, own), weight in zip(adapters, weights):
            part = own.get((layer, kind))
            if part is None:
                part = _absent(config, kind)
            parts.append(part * (config.strength * weight) if kind == "steering_direction" else part)
        tensors[layer, kind] = torch.cat([part.cpu() for part in parts], dim=-2)
        check_values(f"{kind} of the sum", kind, tensors[layer, kind], 1.0)
    combined = replace(
        configs[0], layers_to_transform=layers, strength=1.0, rank=sum(config.rank for config in configs)
    )
    return combined, tensors


def _absent(config: SteeringAdapterConfig, kind: str) -> Tensor:
    """What an adapter has on a layer that it does not steer: a direction of nothing, a gate that never opens."""
    if kind == "steering_direction":
        assert config.hidden_size is not None
        return torch.zeros(config.rank, config.hidden_size)
    if kind == "steering_gate_weight":
        return torch.zeros(2, config.rank, config.gate_width)
    return torch.full((2, config.rank, 2), torch.inf)

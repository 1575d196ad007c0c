"""An adapter's tensors: their kinds, names and shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from .fields import SteeringFields


# The kinds of tensors of an adapter, each held by a `SteeringTensors` of that name on a decoder layer.
TENSOR_KINDS = ("steering_direction", "steering_gate_weight", "steering_gate_bounds")

# In bytes. All layers of a decoder of 80 layers and width 8192, each with a gate of its own, make 8 MiB a direction.
SIZE_LIMIT = 1 << 30


def tensor_shapes(config: SteeringFields, index: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors that an adapter of this resolved configuration has on layer `index`."""
    assert isinstance(config.layers_to_transform, list)
    assert config.hidden_size is not None
    shapes: dict[str, tuple[int, ...]] = {}
    if index in config.layers_to_transform:
        shapes["steering_direction"] = (config.rank, config.hidden_size)
    if index in config.gate_layers:
        shapes["steering_gate_weight"] = (2, config.rank, config.gate_width)
        shapes["steering_gate_bounds"] = (2, config.rank, 2)
    return shapes


class AdapterTensor(NamedTuple):
    """
    One of an adapter's tensors: its name in an adapter file, the decoder layer that it is on, its kind, and its shape.
    """

    file_name: str
    layer: int
    kind: str
    shape: tuple[int, ...]


def adapter_layout(names: Sequence[str], hidden_size: int, config: SteeringFields) -> list[AdapterTensor]:
    """
    All tensors that an adapter of this configuration has on a decoder whose layers have these names, first to last.

    Raises:
        ValueError: If the configuration does not fit the decoder, or the tensors would take more than 1 GiB.
    """
    config = config.resolved(hidden_size=hidden_size, num_hidden_layers=len(names))
    layout = [
        AdapterTensor(f"base_model.model.{name}.{kind}", index, kind, shape)
        for index, name in enumerate(names)
        for kind, shape in tensor_shapes(config, index).items()
    ]
    size = sum(torch.float32.itemsize * math.prod(tensor.shape) for tensor in layout)
    if size > SIZE_LIMIT:
        raise ValueError(
            f"An adapter of `rank`={config.rank} on this model would take {size} bytes, at most {SIZE_LIMIT} are "
            "allowed. One or a few directions a layer are usual."
        )
    return layout

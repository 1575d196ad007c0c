"""An adapter's tensors: their kinds, names and shapes, and what holds them on a decoder layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from accelerate.utils import align_module_device
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from .config import SteeringAdapterConfig
from .decoder import Decoder


# The kinds of tensors of an adapter, each held by a `SteeringTensors` of that name on a decoder layer.
TENSOR_KINDS = ("steering_direction", "steering_gate_weight", "steering_gate_bounds")

# In bytes. All layers of a decoder of 80 layers and width 8192, each with a gate of its own, make 8 MiB a direction.
SIZE_LIMIT = 1 << 30


class SteeringTensors(nn.ParameterDict, BaseTunerLayer):
    """
    One kind of an adapter's tensors on one decoder layer, by adapter name.

    This, and not the decoder layer, is what PEFT's machinery sees as a tuner layer: PEFT takes everything in a tuner
    layer for the adapter's, and skips it when it injects another method. So a LoRA finds all its targets inside a
    steered layer, and neither adapter's file holds the other's tensors or base weights.

    The tensors stay float32 whatever the model is cast to: rounded to bfloat16, a gate vector no longer is orthogonal
    to what it was fitted to ignore.
    """

    def __init__(self) -> None:
        nn.ParameterDict.__init__(self)
        self._active_adapter: list[str] = []
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._folded_key: tuple[object, ...] = ()
        self._folded: Tensor = torch.empty(0)

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """Make these adapters the active ones. Nothing is trained here, so `inference_mode` makes no difference."""
        self.merged_adapters = []
        self._active_adapter = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)

    def enable_adapters(self, enabled: bool) -> None:
        """Switch all adapters on or off."""
        self._disable_adapters = not enabled

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        """Steering tensors are fitted in closed form, never trained: they take no gradient."""

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Note which adapters are folded into one operation."""
        self.merged_adapters = list(self.active_adapters if adapter_names is None else adapter_names)

    def unmerge(self) -> None:
        """Steer with each adapter by itself again."""
        self.merged_adapters = []

    def folded(self, names: Sequence[str], device: torch.device) -> Tensor:
        """These adapters' tensors side by side along the axis of the directions (k); kept until one changes."""
        # accelerate offloads these with the layer, and brings them back only for a forward, which this module has not.
        with align_module_device(self):
            if len(names) == 1:
                return self[names[0]].to(device)
            tensors = [self[name] for name in names]
            key = (device, *((id(tensor), tensor._version) for tensor in tensors))
            if self._folded_key != key:
                self._folded_key, self._folded = key, torch.cat(tensors, dim=-2).to(device)
            return self._folded

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        with align_module_device(self):
            super()._save_to_state_dict(destination, prefix, keep_vars)

    def _get_available_adapters(self) -> set[str]:
        return set(self.keys())

    def _move_adapter_to_device_of_base_layer(self, adapter_name: str, device: torch.device | None = None) -> None:
        # PEFT would cast to the base's dtype. The tensors follow the hidden state's device in `forward`.
        return

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SteeringTensors:
        def keep_dtype(tensor: Tensor) -> Tensor:
            applied = fn(tensor)
            return applied if applied.dtype == tensor.dtype else tensor.to(applied.device)

        return super()._apply(keep_dtype, recurse)


def tensor_shapes(config: SteeringAdapterConfig, index: int) -> dict[str, tuple[int, ...]]:
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


def adapter_layout(decoder: Decoder, config: SteeringAdapterConfig) -> list[AdapterTensor]:
    """
    All tensors that an adapter of this configuration has on this decoder.

    Raises:
        ValueError: If the configuration does not fit the decoder, or the tensors would take more than 1 GiB.
    """
    config = config.resolved(hidden_size=decoder.hidden_size, num_hidden_layers=len(decoder.layers))
    layout = [
        AdapterTensor(f"base_model.model.{name}.{kind}", index, kind, shape)
        for index, name in enumerate(decoder.names)
        for kind, shape in tensor_shapes(config, index).items()
    ]
    size = sum(torch.float32.itemsize * math.prod(tensor.shape) for tensor in layout)
    if size > SIZE_LIMIT:
        raise ValueError(
            f"An adapter of `rank`={config.rank} on this model would take {size} bytes, at most {SIZE_LIMIT} are "
            "allowed. One or a few directions a layer are usual."
        )
    return layout

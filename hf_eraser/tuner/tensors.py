"""What holds an adapter's tensors on a decoder layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import align_module_device
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from .switching import Switch


class SteeringTensors(nn.ParameterDict, BaseTunerLayer):
    """
    One kind of an adapter's tensors on one decoder layer, by adapter name.

    This, and not the decoder layer, is what PEFT's machinery sees as a tuner layer: PEFT takes everything in a tuner
    layer for the adapter's, and skips it when it injects another method. So a LoRA finds all its targets inside a
    steered layer, and neither adapter's file holds the other's tensors or base weights.

    The tensors stay float32 whatever the model is cast to: rounded to bfloat16, a gate vector no longer is orthogonal
    to what it was fitted to ignore.
    """

    # Where PEFT's status of layers and models looks for parameters.
    adapter_layer_names = ("tensors",)

    def __init__(self, switch: Switch) -> None:
        nn.ParameterDict.__init__(self)
        self._switch = switch
        self._active_adapter: list[str] = []
        self._disable_adapters = False
        self.merged_adapters: list[str] = []

    @property
    def tensors(self) -> SteeringTensors:
        """This: the tensors by adapter name."""
        return self

    def get_base_layer(self) -> nn.Module:
        """
        Raises:
            AttributeError: Always: nothing is wrapped here, and PEFT would look for a weight in it without end.
        """
        raise AttributeError(f"{type(self).__name__} wraps no layer")

    def set_adapter(self, adapter_names: str | list[str], inference_mode: bool = False) -> None:
        """Make these adapters the active ones. Nothing is trained here, so `inference_mode` makes no difference."""
        self.merged_adapters = []
        self._active_adapter = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)

    @property
    def disable_adapters(self) -> bool:
        """Whether adapters are off, for the whole model or in this context."""
        acting = self._switch.acting
        return self._disable_adapters or (acting is not None and not acting.adapters)

    def enable_adapters(self, enabled: bool) -> None:
        """Switch all adapters on or off."""
        self._disable_adapters = not enabled

    def set_requires_grad(self, adapter_names: str | Sequence[str], requires_grad: bool = True) -> None:
        """Steering tensors are fitted in closed form, never trained: they take no gradient."""

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Note which adapters are folded into one operation, beside those that are."""
        names = self.active_adapters if adapter_names is None else adapter_names
        self.merged_adapters = list(dict.fromkeys([*self.merged_adapters, *names]))

    def unmerge(self) -> None:
        """Steer with each adapter by itself again."""
        self.merged_adapters = []

    def folded(self, names: Sequence[str], device: torch.device) -> Tensor:
        """These adapters' tensors side by side along the axis of the directions (k)."""
        # accelerate offloads these with the layer, and brings them back only for a forward, which this module has not.
        # Not kept: nothing tells that an adapter of the same name is another one, or was written to through `.data`.
        with align_module_device(self):
            tensors = [self[name] for name in names]
            return (tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim=-2)).to(device)

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

"""What a decoder layer becomes while a steering adapter is attached to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from accelerate.utils import align_module_device
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from .call import CALL_ARGUMENT, GateKey, SteeringCall, current_call
from .config import SteeringAdapterConfig
from .decoder import Decoder
from .gate import ReadoutSums, gate_scores, gate_values
from .retype import restore_type, retype


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


class SteeringLayer:
    """
    Mixin of a decoder layer: its output, the residual stream, is read by gates and shifted along erasure directions.

    Attributes:
        steering_direction: The erasure directions, each (k, d), float32.
        steering_gate_weight: The gate vectors, each (2, k, d), (2, k, 2 d) for the readout `"joined"`, float32; first
            axis: with image, text only.
        steering_gate_bounds: The gates' lower and upper bounds, each (2, k, 2), float32.
        steering_configs: The adapters' configurations.
        steering_index: The number of this layer in the decoder.
    """

    steering_direction: SteeringTensors
    steering_gate_weight: SteeringTensors
    steering_gate_bounds: SteeringTensors
    steering_configs: dict[str, SteeringAdapterConfig]
    steering_index: int

    def _steered_forward(
        self, forward: Callable[..., Any], parameters: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        call = kwargs.pop(CALL_ARGUMENT, None)
        outputs = forward(*args, **kwargs)
        if call is None:
            call = current_call()
        if call is None:
            if not self.acting_adapters():
                return outputs
            raise RuntimeError(
                "A steered decoder layer was called without its model's `forward`, so it cannot know which tokens are "
                "the prompt. Call the model that the adapter was attached to, or switch the adapter off first "
                "(`with model.disable_adapter(): ...`)."
            )
        if isinstance(outputs, tuple):
            return (self._steer(outputs[0], call), *outputs[1:])
        return self._steer(outputs, call)

    def acting_adapters(self) -> list[str]:
        """The steering adapters on this layer that are active and switched on, in the order of activation."""
        tensors = self.steering_direction
        if tensors.disable_adapters:
            return []
        return [name for name in tensors.active_adapters if name in self.steering_configs]

    def _steer(self, hidden: Tensor, call: SteeringCall) -> Tensor:
        if call.prompt_mask is not None:
            self._read_gates(hidden, call)
        for steer_decode, mask in ((True, call.token_mask), (False, call.prompt_mask)):
            if not steer_decode and mask is None:
                continue  # none of this call's tokens is prompt
            delta = self._delta(hidden, call, steer_decode=steer_decode)
            if delta is None:
                continue
            # Where the gate is 0 this adds 0, so the residual stream keeps its value to the last bit.
            shift = delta[:, None, :].to(hidden.dtype)
            hidden = hidden + (shift if mask is None else shift * mask[..., None].to(shift.dtype))
        return hidden

    def _read_gates(self, hidden: Tensor, call: SteeringCall) -> None:
        names = [name for name in call.adapters if name in self.steering_gate_weight]
        if not names:
            return
        assert call.prompt_mask is not None
        assert call.image_mask is not None
        decision, index = call.decision, self.steering_index
        sums = ReadoutSums.of(hidden, call.prompt_mask, call.image_mask)
        if index in call.earlier_sums:
            sums = call.earlier_sums[index] + sums
        decision.sums[index] = sums
        if not decision.complete:
            return
        configs = [self.steering_configs[name] for name in names]
        for group in self._folded([(c.readout, c.text_readout, c.gate) for c in configs], names):
            config = self.steering_configs[group[0]]
            weight = self.steering_gate_weight.folded(group, sums.prompt.device)
            bounds = self.steering_gate_bounds.folded(group, sums.prompt.device)
            scores = gate_scores(sums.read(config.readout, config.text_readout), sums.has_image, weight)
            gates = gate_values(scores, sums.has_image, bounds, config.gate)
            # A sequence of which nothing was read is not steered.
            gates = torch.where(sums.n_prompt > 0, gates, 0.0)
            sizes = [len(self.steering_gate_weight[name][0]) for name in group]
            for name, gate in zip(group, gates.split(sizes, dim=1)):
                if call.rows is not None:
                    gate = torch.where(call.rows[name][:, None], gate, 0.0)
                earlier = decision.gates.get(self.gate_key(name))
                decision.gates[self.gate_key(name)] = gate if earlier is None else torch.maximum(gate, earlier)

    def _delta(self, hidden: Tensor, call: SteeringCall, *, steer_decode: bool) -> Tensor | None:
        """
        What the active adapters add to each sequence's residual stream here, (batch, d), float32.

        Follows from the gates, so it is computed when they are read and kept with them for the decode steps.
        """
        deltas, key = call.decision.deltas, (self.steering_index, steer_decode)
        if call.prompt_mask is None and key in deltas:
            return deltas[key]
        gates = call.decision.gates
        names = [
            name
            for name in call.adapters
            if name in self.steering_direction
            and self.gate_key(name) in gates
            and self.steering_configs[name].steer_decode is steer_decode
        ]
        delta = None
        for group in self._folded([None] * len(names), names):
            scaled = [gates[self.gate_key(name)] * self.steering_configs[name].strength for name in group]
            direction = self.steering_direction.folded(group, hidden.device)
            shift = (torch.cat(scaled, dim=1).to(hidden.device)[..., None] * direction).sum(dim=1)
            delta = shift if delta is None else delta + shift
        deltas[key] = delta
        return delta

    def _folded(self, kinds: list[Any], names: list[str]) -> list[list[str]]:
        """The adapters that are computed in one operation: merged ones of one kind; any other by itself."""
        merged = self.steering_direction.merged_adapters
        groups: dict[Any, list[str]] = {}
        for kind, name in zip(kinds, names):
            groups.setdefault((kind,) if name in merged else name, []).append(name)
        return list(groups.values())

    def gate_key(self, name: str) -> GateKey:
        """Under which key the gates that steer this layer with adapter `name` are kept."""
        return name, None if self.steering_configs[name].gate_layer is not None else self.steering_index


def attach(layer: nn.Module, index: int, adapter_name: str, config: SteeringAdapterConfig) -> None:
    """
    Give decoder layer number `index` the tensors that a fresh adapter has there: one that never steers.

    Args:
        layer: The decoder layer.
        index: Its number in the decoder.
        adapter_name: The adapter's name.
        config: The adapter's configuration, resolved for this decoder.
    """
    if not isinstance(layer, SteeringLayer):
        retype(layer, SteeringLayer)
        for kind in TENSOR_KINDS:
            setattr(layer, kind, SteeringTensors())
        layer.steering_configs = {}  # type: ignore[assignment]
        layer.steering_index = index  # type: ignore[assignment]
    assert isinstance(layer, SteeringLayer)
    parameters = (p for name, p in layer.named_parameters() if not name.startswith("steering_"))
    device = next(parameters).device
    if device.type == "meta":  # the layer is offloaded
        device = torch.device("cpu")
    layer.steering_configs[adapter_name] = config
    shapes = tensor_shapes(config, index)
    for name, shape in shapes.items():
        fill = torch.inf if name == "steering_gate_bounds" else 0.0
        tensor = torch.full(shape, fill, dtype=torch.float32, device=device)
        getattr(layer, name)[adapter_name] = nn.Parameter(tensor, requires_grad=False)


def tensor_shapes(config: SteeringAdapterConfig, index: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors that an adapter of this resolved configuration has on layer `index`."""
    assert isinstance(config.layers_to_transform, list)
    assert config.hidden_size is not None
    shapes: dict[str, tuple[int, ...]] = {}
    if index in config.layers_to_transform:
        shapes["steering_direction"] = (config.rank, config.hidden_size)
    if index == config.gate_layer or (config.gate_layer is None and index in config.layers_to_transform):
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


def detach(layer: SteeringLayer, adapter_name: str) -> None:
    """Take an adapter's tensors from a layer; with the last adapter, give the layer its own class back."""
    containers = [getattr(layer, kind) for kind in TENSOR_KINDS]
    for container in containers:
        if adapter_name in container:
            del container[adapter_name]
        container.set_adapter([name for name in container.active_adapters if name != adapter_name])
    layer.steering_configs.pop(adapter_name, None)
    if not any(len(container) for container in containers):
        for kind in TENSOR_KINDS:
            delattr(layer, kind)
        del layer.steering_configs, layer.steering_index
        restore_type(layer)  # type: ignore[arg-type]

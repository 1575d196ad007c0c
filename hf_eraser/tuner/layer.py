"""What a decoder layer becomes while a steering adapter is attached to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .config import SteeringAdapterConfig
from .decision import GateKey, Steered
from .fields import LARGEST
from .forward_call import CALL_ARGUMENT, SteeringCall, current_call
from .gate import gate_values, scores_of
from .in_place import restore_type, retype
from .layout import TENSOR_KINDS, tensor_shapes
from .readouts import ReadoutSums
from .switching import Switch
from .tensors import SteeringTensors


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
        if isinstance(outputs, tuple) and not hasattr(outputs, "_fields"):  # those have meanings of their own
            return (self._steer(outputs[0], call), *outputs[1:])
        return self._steer(outputs, call)

    def acting_adapters(self) -> list[str]:
        """The steering adapters on this layer that are active and switched on, in the order of activation."""
        tensors = self.steering_direction
        if tensors.disable_adapters:
            return []
        return [name for name in tensors.active_adapters if name in self.steering_configs]

    def _steer(self, hidden: Tensor, call: SteeringCall) -> Tensor:
        call.ran.add(self.steering_index)
        call.check_stream(hidden, self.steering_index, next(iter(self.steering_configs.values())).hidden_size)
        if call.prompt_mask is not None:
            self._read_gates(hidden, call)
        base = hidden
        configs = (self.steering_configs[name] for name in call.adapters if name in self.steering_direction)
        for steered in dict.fromkeys(map(steered_by, configs)):
            acts, mask = call.mask_of(steered)
            delta = self._delta(hidden, call, steered) if acts else None
            if delta is None:
                continue
            # Where the gate is 0 this adds 0, so the residual stream keeps its value to the last bit.
            shift = call.by_token(delta.clamp(-(most := most_added(hidden.dtype)), most).to(hidden.dtype))
            if mask is not None and call.packing is not None:
                mask = call.packing.packed(mask)
            hidden = hidden + (shift if mask is None else shift * mask[..., None].to(shift.dtype))
        return hidden if hidden is base else with_room(hidden, base)

    def _read_gates(self, hidden: Tensor, call: SteeringCall) -> None:
        names = [name for name in call.adapters if name in self.steering_gate_weight]
        if not names:
            return
        assert call.prompt_mask is not None
        assert call.image_mask is not None
        decision, index = call.decision, self.steering_index
        call.check_read(index, names)
        hidden = call.by_sequence(hidden)
        sums = ReadoutSums.of(hidden, call.prompt_mask, call.image_mask)
        if call.paged is not None:
            call.paged.read(index, hidden, call.image_mask)
        if index in call.earlier_sums:
            sums = call.earlier_sums[index] + sums
        decision.sums[index] = sums
        if not decision.complete:
            return
        kinds = [_gate_kind(self.steering_configs[name]) for name in names]
        for group in self._folded(kinds, names):
            config = self.steering_configs[group[0]]
            weight = self.steering_gate_weight.folded(group, sums.prompt.device)
            bounds = self.steering_gate_bounds.folded(group, sums.prompt.device)
            scores = scores_of(sums, config.readout, config.text_readout, weight)
            gates = gate_values(scores, sums.has_image, bounds, config.gate)
            # A sequence of which nothing was read is not steered.
            gates = torch.where(sums.n_prompt > 0, gates, 0.0)
            if call.paged is not None:
                gates = torch.where(call.paged.ready[:, None], gates, 0.0)
            if config.gate_layer is not None and len(config.gate_layers) > 1:
                here = sums.has_image if index == config.gate_layer else ~sums.has_image
                gates = torch.where(here[:, None], gates, 0.0)
            sizes = [len(self.steering_gate_weight[name][0]) for name in group]
            for name, gate in zip(group, gates.split(sizes, dim=1)):
                if call.rows is not None:
                    gate = torch.where(call.rows[name][:, None], gate, 0.0)
                earlier = decision.gates.get(self.gate_key(name))
                decision.gates[self.gate_key(name)] = gate if earlier is None else torch.maximum(gate, earlier)

    def _delta(self, hidden: Tensor, call: SteeringCall, steered: Steered) -> Tensor | None:
        """
        What the active adapters that steer these tokens add to each sequence's residual stream here, (batch, d),
        float32.

        Follows from the gates, so it is computed when they are read and kept with them for the decode steps.
        """
        deltas, key = call.decision.deltas, (self.steering_index, steered)
        if call.prompt_mask is None and key in deltas:
            return deltas[key]
        gates = call.decision.gates
        names = [
            name
            for name in call.adapters
            if name in self.steering_direction
            and self.gate_key(name) in gates
            and steered_by(self.steering_configs[name]) == steered
        ]
        delta = None
        for group in self._folded([None] * len(names), names):
            strengths = [self.steering_configs[name].strength * call.strength for name in group]
            scaled = [gates[self.gate_key(name)] * strength for name, strength in zip(group, strengths)]
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


def most_added(dtype: torch.dtype) -> float:
    """The most that adapters together add to a number of the residual stream; a fitted one adds far less."""
    return min(LARGEST, torch.finfo(dtype).max / 16)


def with_room(steered: Tensor, base: Tensor) -> Tensor:
    """
    The steered residual stream, no number of which is larger than it was, or than a 16th of what float16 holds: what
    later layers add has room. Where nothing was added it keeps its value to the last bit. Other dtypes hold whatever
    adapters may add.
    """
    if steered.dtype != torch.float16:
        return steered
    room = base.abs().clamp(min=most_added(steered.dtype))
    return torch.minimum(torch.maximum(steered, -room), room)


def steered_by(config: SteeringAdapterConfig) -> Steered:
    """Which tokens an adapter steers."""
    return config.positions, config.steer_decode


def _gate_kind(config: SteeringAdapterConfig) -> tuple[Any, ...]:
    """What gates have in common that are computed in one operation."""
    layers = None if config.gate_layer is None else (config.gate_layer_of(True), config.gate_layer_of(False))
    return config.readout, config.text_readout, config.gate, layers


def attach(layer: nn.Module, index: int, adapter_name: str, config: SteeringAdapterConfig, switch: Switch) -> None:
    """
    Give decoder layer number `index` the tensors that a fresh adapter has there: one that never steers.

    Args:
        layer: The decoder layer.
        index: Its number in the decoder.
        adapter_name: The adapter's name.
        config: The adapter's configuration, resolved for this decoder.
        switch: The model's.
    """
    if not isinstance(layer, SteeringLayer):
        retype(layer, SteeringLayer)
        for kind in TENSOR_KINDS:
            setattr(layer, kind, SteeringTensors(switch))
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


def detach(layer: SteeringLayer, adapter_name: str) -> None:
    """Take an adapter's tensors from a layer; with the last adapter, give the layer its own class back."""
    containers = [getattr(layer, kind) for kind in TENSOR_KINDS]
    for container in containers:
        if adapter_name in container:
            del container[adapter_name]
        merged = [name for name in container.merged_adapters if name != adapter_name]
        container.set_adapter([name for name in container.active_adapters if name != adapter_name])
        container.merged_adapters = merged
    layer.steering_configs.pop(adapter_name, None)
    if not any(len(container) for container in containers):
        for kind in TENSOR_KINDS:
            delattr(layer, kind)
        del layer.steering_configs, layer.steering_index
        restore_type(layer)  # type: ignore[arg-type]

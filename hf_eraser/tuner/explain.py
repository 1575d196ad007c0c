"""Why a prompt is steered or not: what each gate read, its bounds, and what it decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from .decision import Decision
from .fields import GateMode, Readout
from .forward_call import recording
from .gate import TEXT_ONLY, WITH_IMAGE, scores_of
from .steered_model import steered_by, steering_layers
from .wrapped import base_of


@dataclass(frozen=True)
class GateDecision:
    """
    What one gate decided about one prompt.

    Attributes:
        layer: The decoder layer that it read, counted from 0.
        direction: Which of the adapter's directions it is for, counted from 0.
        modality: `"image"` for a prompt with a picture, `"text"` for one without; each has a gate vector of its own.
        readout: What it read of the residual stream.
        mode: How the score became a gate.
        score: What the gate vector made of what was read.
        low, high: The bounds of this modality: a `"calibrated"` gate is closed up to `low` and fully open from `high`
            on. An infinite `low` means that prompts of this modality are never steered.
        gate: The gate, 0 for closed.
    """

    layer: int
    direction: int
    modality: Literal["image", "text"]
    readout: Readout
    mode: GateMode
    score: float
    low: float
    high: float
    gate: float

    @property
    def is_open(self) -> bool:
        """Whether the prompt is steered along this direction."""
        return self.gate > 0


def gate_decisions(
    model: PreTrainedModel | PeftModel, inputs: Mapping[str, Any], *, adapters: Sequence[str] | None = None
) -> list[dict[str, list[GateDecision]]]:
    """
    What the gates decide about a batch of prompts, found in one forward pass.

    Args:
        model: A model with steering adapters.
        inputs: What its `forward` takes, as from the processor.
        adapters: The adapters that act in that pass; the default are those that act now. With a gate on each steered
            layer (`gate_layer=None`), what one adapter adds on one layer is read by gates on later ones, so an
            adapter may decide differently alone and beside others.

    Returns:
        For each prompt: the gates of each adapter that acts, by layer and direction.

    Raises:
        ValueError: If no steering adapter acts, or one of `adapters` is not attached.

    Example:

        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> from hf_eraser import SteeringAdapterConfig
        >>> model = LlamaForCausalLM(
        ...     LlamaConfig(
        ...         vocab_size=32, hidden_size=8, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2
        ...     )
        ... )
        >>> model.add_adapter(SteeringAdapterConfig(layers_to_transform=[1, 2], gate_layer=0), "fresh")
        >>> [prompt] = gate_decisions(model, {"input_ids": torch.tensor([[1, 2, 3]])})
        >>> [gate] = prompt["fresh"]
        >>> gate.layer, gate.modality, gate.low, gate.gate
        (0, 'text', inf, 0.0)
    """
    with torch.no_grad(), nullcontext() if adapters is None else steered_by(model, adapters):
        with recording() as decisions:
            model(**inputs)
    return _explained(model, decisions[-1] if decisions else None)


def decisions_on(model: PreTrainedModel | PeftModel, cache: Any) -> list[dict[str, list[GateDecision]]]:
    """
    What was decided about the sequences of a key-value cache, such as `generate(..., return_dict_in_generate=True)`
    gives back; as `gate_decisions`, without another forward pass.

    Args:
        model: The model, with the adapters that acted still attached.
        cache: The `past_key_values` of one of its outputs.

    Raises:
        ValueError: If nothing was decided, because no steering adapter acted or there is no cache.
    """
    return _explained(model, getattr(cache, "steering_decision", None))


def _explained(model: PreTrainedModel | PeftModel, decision: Decision | None) -> list[dict[str, list[GateDecision]]]:
    if decision is None or not decision.gates:
        raise ValueError(
            "No gate was read: no steering adapter acted on this input, or there is no key-value cache. Switch an "
            "adapter on (`set_adapter`), and leave `use_cache` on where a cache is asked."
        )
    batch = len(next(iter(decision.gates.values())))
    rows: list[dict[str, list[GateDecision]]] = [{} for _ in range(batch)]
    base = base_of(model)
    for layer in steering_layers(base):
        for name in decision.adapters:
            if name not in layer.steering_gate_weight or layer.gate_key(name) not in decision.gates:
                continue
            gates = decision.gates[layer.gate_key(name)]
            config, sums = layer.steering_configs[name], decision.sums[layer.steering_index]
            device = sums.prompt.device
            weight = layer.steering_gate_weight.folded([name], device)
            bounds = layer.steering_gate_bounds.folded([name], device)
            scores = scores_of(sums, config.readout, config.text_readout, weight)
            for row, has_image in enumerate(sums.has_image.tolist()):
                if config.gate_layer is not None and layer.steering_index != config.gate_layer_of(has_image):
                    continue
                readout = config.readout if has_image else config.text_readout or config.readout
                low_high = bounds[WITH_IMAGE if has_image else TEXT_ONLY].tolist()
                rows[row].setdefault(name, []).extend(
                    GateDecision(
                        layer=layer.steering_index,
                        direction=direction,
                        modality="image" if has_image else "text",
                        readout=readout,
                        mode=config.gate,
                        score=score,
                        low=low,
                        high=high,
                        gate=gate,
                    )
                    for direction, (score, (low, high), gate) in enumerate(
                        zip(scores[row].tolist(), low_high, gates[row].tolist())
                    )
                )
    return rows

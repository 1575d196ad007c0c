"""Adapters with known random tensors, and prompts, for models that were not taught anything."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from peft import PeftModel
from PIL import Image
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser import SteeringAdapterConfig
from hf_eraser.data import encode, read_examples
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.layout import adapter_layout


def random_tensors(
    model: PreTrainedModel, config: SteeringAdapterConfig, *, seed: int = 0, low: float = 0.0, high: float = 0.05
) -> dict[str, Tensor]:
    """Tensors, by their names in an adapter file, of an adapter whose gates open for about half of all prompts."""
    generator, decoder = torch.Generator().manual_seed(seed), find_decoder(model)
    tensors = {}
    for tensor in adapter_layout(decoder.names, decoder.hidden_size, config):
        if tensor.kind == "steering_gate_bounds":
            value = torch.tensor([low, high]).expand(tensor.shape).clone()
        else:
            value = torch.randn(tensor.shape, generator=generator)
        tensors[tensor.file_name] = value
    return tensors


def attach(
    model: PreTrainedModel | PeftModel,
    adapter_name: str = "default",
    *,
    seed: int = 0,
    low: float = 0.0,
    high: float = 0.05,
    **config: Any,
) -> dict[str, Tensor]:
    """Attach an adapter with random tensors, active; returns the tensors."""
    config = {"layers_to_transform": [2, 4], "gate_layer": 1, **config}
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    adapter = SteeringAdapterConfig(**config)
    tensors = random_tensors(base, adapter, seed=seed, low=low, high=high)
    attach_fitted(model, adapter, tensors, adapter_name)
    return tensors


def picture(seed: int = 0) -> Image.Image:
    """A picture of random patches."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (6, 6, 3), generator=generator, dtype=torch.uint8)
    return Image.fromarray(pixels.numpy()).resize((64, 64))


# Long and short, with a picture, with two, and without.
PROMPTS: tuple[dict[str, Any], ...] = (
    {"image": picture(1), "prompt": "What is the name of this person?"},
    {"prompt": "What is the capital of France?"},
    {"image": picture(2), "prompt": "Tell me the colour of the thing in the image."},
    {"prompt": "Sum?"},
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "image": picture(3)},
                    {"type": "image", "image": picture(4)},
                    {"type": "text", "text": "What is the shape of these?"},
                ],
            }
        ]
    },
)


def batch_of(model: PreTrainedModel, processor: ProcessorMixin, prompts: Any, side: str = "left") -> dict[str, Any]:
    """Model inputs for prompts, padded on either side."""
    inputs = encode(processor, read_examples(prompts, "prompts"), model.device)
    if side == "left":
        return inputs
    mask = inputs["attention_mask"].bool()
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in inputs:
            moved = torch.full_like(inputs[name], processor.tokenizer.pad_token_id if name == "input_ids" else 0)
            for row, keep in enumerate(mask):
                moved[row, : keep.sum()] = inputs[name][row, keep]
            inputs[name] = moved
    return inputs


def fingerprint(model: nn.Module) -> str:
    """A hash of every parameter and buffer that is not an adapter's, by name."""
    digest = hashlib.sha256()
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    for name, tensor in sorted((n.replace("base_model.model.", "", 1), t) for n, t in tensors.items()):
        if "steering_" not in name and "lora_" not in name:
            name = name.replace(".base_layer", "")
            digest.update(name.encode() + tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def hooks_of(model: nn.Module) -> list[object]:
    """The forward hooks that are hf_eraser's; transformers' recorders install their own once and leave them."""
    hooks = [hook for module in model.modules() for hook in module._forward_hooks.values()]
    return [hook for hook in hooks if hook.__module__.startswith("hf_eraser")]


@torch.no_grad()
def logits(model: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """The model's logits."""
    return model(**inputs).logits

"""Small models whose heads vLLM's CPU kernels take, adapters for them, and what transformers answers."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, ProcessorMixin

from hf_eraser.tuner.explain import gate_decisions
from tests.helpers.adapters import attach


LENGTH = 8

# Each readout, one and several directions, one gate and several, and answers that are steered as well.
ADAPTERS: dict[str, dict[str, Any]] = {
    "mean": {"readout": "prompt"},
    "last": {"readout": "last", "gate_layer": 2},
    "joined": {"readout": "joined", "rank": 2, "text_gate_layer": 2},
    "text": {"readout": "text", "steer_decode": True},
    "image": {"readout": "image", "text_readout": "last", "text_gate_layer": 2, "rank": 2},
    "linear": {"readout": "prompt", "gate": "linear", "strength": 0.05},
    "always": {"gate": "always", "strength": 0.5},
    "each": {"readout": "prompt", "gate_layer": None, "layers_to_transform": [1, 2, 4]},
}


def llama(folder: Path, seed: int = 0) -> LlamaForCausalLM:
    """A random Llama, saved to a folder."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=128,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=None,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    model.save_pretrained(folder)
    return model


def add_adapters(model: PreTrainedModel, folder: Path, which: Mapping[str, dict[str, Any]]) -> dict[str, Path]:
    """Attach adapters, none of them active, and save each to a folder of its own."""
    folders = {}
    for seed, (name, config) in enumerate(which.items()):
        config = {"positions": "last", "steer_decode": False, "layers_to_transform": [2, 4], "strength": 4.0, **config}
        attach(model, name, seed=seed, high=1.0, **config)
        model.set_adapter(name)
        model.save_pretrained(folder / name)
        folders[name] = folder / name
    return folders


def prompts(count: int, seed: int = 0) -> list[list[int]]:
    """Short and long ones, half of which begin alike, so that some are another one's beginning."""
    pick = random.Random(seed)
    common = [pick.randrange(2, 128) for _ in range(200)]
    found = []
    for number in range(count):
        own = [pick.randrange(2, 128) for _ in range(pick.choice([1, 3, 17, 40, 90]))]
        found.append(common[: pick.choice([64, 128, 150, 190])] + own if number % 2 else own)
    return found


def save_for_vllm(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """
    Save a model with its processor. transformers 5.23 writes a LLaVA's vision tower by other names than checkpoints on
    the Hub have, by which vLLM 0.32 looks for them.
    """
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if model.config.model_type == "llava":
        path = folder / "model.safetensors"
        tensors = load_file(path)
        renamed = {
            re.sub(r"(vision_tower\.)(?!vision_model\.)", r"\1vision_model.", name): tensor
            for name, tensor in tensors.items()
        }
        save_file(renamed, path, metadata={"format": "pt"})


@torch.no_grad()
def answer_of(
    model: PreTrainedModel, tokens: Sequence[int], adapters: Sequence[str], length: int = LENGTH, **inputs: Any
) -> dict[str, Any]:
    """What transformers generates, and each adapter's gates and scores."""
    ids = torch.tensor([list(tokens)])
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **inputs}
    if not adapters:
        with model.disable_adapter():
            generated = model.generate(**given, max_new_tokens=length, do_sample=False)
        return {"tokens": generated[0, ids.shape[1] :].tolist(), "decided": {}}
    model.set_adapter(list(adapters))
    generated = model.generate(**given, max_new_tokens=length, do_sample=False)
    (explained,) = gate_decisions(model, given)
    decided = {name: [(gate.gate, gate.score) for gate in gates] for name, gates in explained.items()}
    return {"tokens": generated[0, ids.shape[1] :].tolist(), "decided": decided}


def wrong(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """How what vLLM says of a request differs from what transformers does; scores by a thousandth of their spread."""
    said = []
    if any(tokens != expected["tokens"] for tokens in found["tokens"]):
        said.append(f"tokens {found['tokens']}, not {expected['tokens']}")
    if found["decided"].keys() != expected["decided"].keys():
        return [*said, f"decided by {sorted(found['decided'])}, not by {sorted(expected['decided'])}"]
    for name, gates in expected["decided"].items():
        for own in found["decided"][name].values():  # of each answer to the request
            pairs = [(*one, *other) for one, other in zip(own, gates)]
            far = [abs(a - b) > 1e-3 or abs(x - y) > 1e-3 * max(1, abs(y)) for a, x, b, y in pairs]  # nan is not
            if len(own) != len(gates) or any(far):
                said.append(f"{name}: gates and scores {own}, not {gates}")
    return said

"""
What steering costs on a decoder of SmolLM2-135M's size, as ratios in one run, beside a LoRA on the same layers, and
what fitting gates costs beside the forward passes that it cannot do without.

    python -m examples.benchmark
    python -m examples.benchmark --no-fitting

The weights are random: they make no difference to the time. Each round times every variant once, in turn, so that a
busy machine slows all of them alike; a ratio is the median over the rounds. Fitting is a LLaVA's with that decoder,
with 8 candidate layers and all readouts, against plain forward passes over the very same batches; the more examples,
the less the rest of it weighs. About 6 minutes on two cores, 2 without fitting.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from hf_eraser import SteeringAdapterConfig


# SmolLM2-135M: https://huggingface.co/HuggingFaceTB/SmolLM2-135M/blob/main/config.json
_SMOLLM2 = LlamaConfig(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
)
_LAYERS = list(range(12, 18))
_STACKED = 20


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how often each variant is timed")
    parser.add_argument("--tokens", type=int, default=256, help="length of the prompts")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    base = LlamaForCausalLM(_SMOLLM2).eval()
    models = {
        "base": base,
        "steering": _steered(base, 1),
        f"{_STACKED} steering, merged": _steered(base, _STACKED),
        "LoRA, rank 8": get_peft_model(
            copy.deepcopy(base),
            LoraConfig(r=8, target_modules=["q_proj", "v_proj"], layers_to_transform=_LAYERS, task_type="CAUSAL_LM"),
        ).eval(),
    }
    prompts = torch.randint(0, _SMOLLM2.vocab_size, (4, arguments.tokens))

    def prefill(model: torch.nn.Module) -> Callable[[], object]:
        return lambda: model(input_ids=prompts, use_cache=True)

    def decode(model: torch.nn.Module) -> Callable[[], object]:
        cache = model(input_ids=prompts[:1], use_cache=True).past_key_values
        token = prompts[:1, :1]

        def step() -> None:
            for _ in range(8):
                model(input_ids=token, past_key_values=cache, use_cache=True)
            cache.crop(-8)

        return step

    print(f"| {arguments.rounds} rounds | prefill | decode |\n| --- | ---: | ---: |")
    with torch.no_grad():
        columns = [_ratios({n: task(m) for n, m in models.items()}, arguments.rounds) for task in (prefill, decode)]
    for name in models:
        print(f"| {name} | " + " | ".join(f"{column[name]:.3f}" for column in columns) + " |")


def _steered(base: LlamaForCausalLM, adapters: int) -> LlamaForCausalLM:
    """The model with `adapters` active adapters whose gates are open; merged, if there are several."""
    model = copy.deepcopy(base)
    peft_model = get_peft_model(
        model, SteeringAdapterConfig(layers_to_transform=_LAYERS, gate_layer=_LAYERS[0]), adapter_name="0"
    )
    for i in range(1, adapters):
        peft_model.add_adapter(str(i), SteeringAdapterConfig(layers_to_transform=_LAYERS, gate_layer=_LAYERS[0]))
    for name, parameter in peft_model.named_parameters():
        if "steering_gate_bounds" in name:
            parameter.data.copy_(torch.tensor([-2e6, -1e6]).expand_as(parameter))
        elif "steering_" in name:
            parameter.data.normal_(std=1e-3)
    tuner: Any = peft_model.base_model
    tuner.set_adapter([str(i) for i in range(adapters)])
    if adapters > 1:
        peft_model.merge_adapter()
    return model


def _ratios(tasks: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median over the rounds of each task's time as a multiple of the first one's."""
    for task in tasks.values():
        task()
    names = list(tasks)
    found: dict[str, list[float]] = {name: [] for name in names}
    for i in tqdm(range(rounds), desc="Timing", unit="round"):
        seconds = {}
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = time.perf_counter()
            tasks[name]()
            seconds[name] = time.perf_counter() - start
        for name in names:
            found[name].append(seconds[name] / seconds[names[0]])
    return {name: statistics.median(values) for name, values in found.items()}


if __name__ == "__main__":
    main()

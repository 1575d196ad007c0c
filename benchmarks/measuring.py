"""What is measured of any fit: answers, decisions, general traffic, prompts in pieces, and a white-box attack."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from benchmarks.fresh_traffic import fresh_traffic
from hf_eraser.data import Example, read_examples
from hf_eraser.data.encoding import batches, encode
from hf_eraser.data.processes import ALONE
from hf_eraser.evaluation import greedy_answers, holds, is_refusal
from hf_eraser.fitting import PGD
from hf_eraser.fitting.attacks.evasion import evading
from hf_eraser.fitting.reading.capture import capture
from hf_eraser.fitting.steering.openness import openness
from hf_eraser.tuner.explain import gate_decisions
from hf_eraser.tuner.steered_model import steering_layers


# Prompts by their number of tokens, with the image tokens that a picture becomes.
_LENGTHS = ((0, 64), (65, 256), (257, 1024), (1025, 100_000))


def clock() -> float:
    """Seconds, when a GPU has done all that it was told to, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def mean(values: Sequence[Any]) -> float | None:
    return sum(map(float, values)) / len(values) if values else None


def answered_by(examples: Sequence[Example], texts: Sequence[str]) -> list[bool]:
    return [holds(text, example.answers) for example, text in zip(examples, texts)]


def compared(examples: Sequence[Example], before: Sequence[str], after: Sequence[str]) -> dict[str, float | None]:
    """Shares: answered before and after, refused after, the same text."""
    return {
        "answered_before": mean(answered_by(examples, before)),
        "answered": mean(answered_by(examples, after)),
        "refused": mean([is_refusal(text) for text in after]),
        "same_text": mean([a == b for a, b in zip(before, after)]),
    }


def steered(model: Any, processor: Any, examples: Sequence[Example], *, batch_size: int) -> list[bool]:
    """Whether a gate opens. Where none does, the output is the base model's bit for bit."""
    found = [False] * len(examples)
    for indices in batches(examples, batch_size):
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        for i, gates in zip(indices, gate_decisions(model, {**inputs, "logits_to_keep": 1})):
            found[i] = any(gate.is_open for of_adapter in gates.values() for gate in of_adapter)
    return found


def short_enough(model: Any, processor: Any, entries: Sequence[Mapping[str, Any]], longest: int) -> list[int]:
    """Which general prompts have at most so many tokens and leave the model room for an answer."""
    longest = min(longest, model.config.get_text_config().max_position_embeddings - 64)
    general = read_examples(_asked(entries), "general")
    device = torch.device("cpu")
    return [
        i for i, example in enumerate(general) if encode(processor, [example], device)["input_ids"].shape[1] <= longest
    ]


def _asked(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key not in ("kind", "language")} for entry in entries]


def on_general(model: Any, processor: Any, batch_size: int, longest: int = 100_000) -> dict[str, Any]:
    """
    Of fresh general traffic of at most `longest` tokens that fits the model's context: for all and by kind, language
    and length, the number of prompts, of those that are steered, and of those that keep their text.
    """
    traffic = fresh_traffic(with_images=hasattr(processor, "image_processor"))
    general = read_examples(_asked(traffic), "fresh")
    lengths = [encode(processor, [example], torch.device("cpu"))["input_ids"].shape[1] for example in general]
    asked = short_enough(model, processor, traffic, longest)
    opened = dict(zip(asked, opened_by(model, processor, [general[i] for i in asked], batch_size=batch_size)))
    open_ones = [i for i in asked if opened[i]]
    same = dict.fromkeys(asked, True)
    if open_ones:
        examples = [general[i] for i in open_ones]
        after = greedy_answers(model, processor, examples, batch_size=batch_size, max_new_tokens=32)
        with model.disable_adapter():
            before = greedy_answers(model, processor, examples, batch_size=batch_size, max_new_tokens=32)
        same |= {i: a == b for i, a, b in zip(open_ones, before, after)}

    def by(key: Any) -> dict[str, list[int]]:
        counts: dict[str, list[int]] = {}
        for i in asked:
            of = counts.setdefault(key(i), [0, 0, 0])
            of[0], of[1], of[2] = of[0] + 1, of[1] + opened[i], of[2] + same[i]
        return counts

    def length_of(i: int) -> str:
        low, high = next(limits for limits in _LENGTHS if limits[0] <= lengths[i] <= limits[1])
        return f"{low} to {high} tokens" if high < 100_000 else f"over {low - 1} tokens"

    return {
        "all": by(lambda i: "all")["all"],
        "kind": by(lambda i: traffic[i]["kind"]),
        "language": by(lambda i: traffic[i]["language"]),
        "length": by(length_of),
        "open": [str(general[i].messages[-1]["content"])[:200] for i in open_ones],
    }


@torch.no_grad()
def in_pieces(
    model: Any, processor: Any, examples: Sequence[Example], configuration: Mapping[str, Any]
) -> dict[str, Any]:
    """Texts with the prompt given in pieces, as a server does, against the whole prompt at once; without pictures."""
    same: dict[str, list[bool]] = {}
    for example in examples:
        inputs = encode(processor, [example], model.device)
        whole = model.generate(**inputs, do_sample=False, max_new_tokens=12)[0].tolist()
        for size in configuration["pieces"]:
            chunked = model.generate(**inputs, do_sample=False, max_new_tokens=12, prefill_chunk_size=size)[0].tolist()
            same.setdefault(str(size), []).append(chunked == whole)
    return {size: [len(of), sum(of)] for size, of in same.items()}


def white_box(
    model: Any, processor: Any, examples: Sequence[Example], before: Sequence[str], configuration: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Pictures perturbed against the delivered gates by who knows everything; of those that were answered before."""
    known = [e for e, right in zip(examples, answered_by(examples, before)) if right]
    chosen = [known[i * len(known) // configuration["white_box"]] for i in range(configuration["white_box"])]
    gates = gates_of(model)
    source: Any = SimpleNamespace(model=model, processor=processor, processes=ALONE)
    config = next(iter(model.peft_config.values()))
    found = []
    for eps in configuration["eps"]:
        attack = PGD(eps=eps / 255, steps=configuration["pgd_steps"])
        perturbed = evading(source, config, gates, chosen, attack, batch_size=8)
        texts = greedy_answers(model, processor, perturbed, batch_size=8)
        opened = steered(model, processor, perturbed, batch_size=8)
        found.append(
            {"eps": eps, "count": len(chosen), "answered": mean(answered_by(chosen, texts)), "steered": mean(opened)}
        )
    return found


def opened_by(model: Any, processor: Any, examples: Sequence[Example], *, batch_size: int) -> list[bool]:
    """As `steered`, by reading the model no farther than its gates do: for long prompts on a CPU."""
    config, gates = next(iter(model.peft_config.values())), gates_of(model)
    layers, found = sorted(gates.weight), [False] * len(examples)
    for batch in capture(
        model, processor, examples, layers=layers, batch_size=batch_size, description="Reading fresh prompts"
    ):
        for i, above in zip(batch.indices, openness(batch.sums, config, gates).tolist()):
            found[i] = above > 0
    return found


def gates_of(model: Any) -> Any:
    """Weights and bounds of the one adapter on a model, by layer, as a fit has them."""
    (name,) = model.peft_config
    weight, bounds = {}, {}
    for layer in steering_layers(model):
        if name in layer.steering_gate_weight:
            weight[layer.steering_index] = layer.steering_gate_weight.folded([name], model.device)
            bounds[layer.steering_index] = layer.steering_gate_bounds.folded([name], model.device)
    return SimpleNamespace(weight=weight, bounds=bounds)

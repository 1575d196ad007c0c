"""
What a fit takes at the widths of real models: memory beyond the model, and seconds by step against those of its plain
forward passes.

The models are Llamas of random weights, which make no difference to either, asked in words. Each size is measured in
a process of its own, whose peak of memory is then its own.
"""

from __future__ import annotations

import functools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.markdown import table
from benchmarks.result import Result
from examples.small.models import build_llava
from hf_eraser import fit


_CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
_ASKED = ("name", "job", "pet", "hobby", "town", "food", "colour", "song")


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Measure each size in a process of its own."""
    rows = []
    for width, retained in configuration["sizes"]:
        size = {"width": width, "retained": retained, "layers": configuration["layers"], "seed": configuration["seed"]}
        command = [sys.executable, "-m", "benchmarks.experiments.sizes", json.dumps(size)]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(json.loads(found.splitlines()[-1]))
        print(rows[-1], flush=True)
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """One table."""
    (result,) = results.values()
    cells = [
        (
            row["width"],
            row["retained"],
            f"{row['gibibytes']:.2f}",
            f"{row['seconds']['gates']:.0f}",
            f"{row['gates_ratio']:.2f}",
            f"{row['seconds']['strength']:.0f}",
        )
        for row in result.figures["rows"]
    ]
    columns = ("width", "retained examples", "memory, GiB", "gates, s", "of their forward passes", "strength, s")
    return "\n\n".join(
        [
            "## Sizes",
            f"Fits of Llamas with {result.configuration['layers']} layers and random weights in float32 on the CPU: "
            "memory beyond that of the model, the time that gates took, that as a multiple of the forward passes in "
            "it, and the time that layers and strength took.",
            table(columns, cells, left=0),
        ]
    )


class _Timed(LlamaForCausalLM):
    """
    A model that notes the time of its forward passes.

    Attributes:
        seconds: The time so far.
        before_answers: The time before the first one that keeps a cache: gates only read.
    """

    seconds = 0.0
    before_answers: float | None = None

    @functools.wraps(LlamaForCausalLM.forward)
    def forward(self, *inputs: Any, **options: Any) -> Any:  # type: ignore[override]
        if options.get("use_cache") is not False and self.before_answers is None:
            self.before_answers = self.seconds
        start = time.perf_counter()
        try:
            return super().forward(*inputs, **options)
        finally:
            self.seconds += time.perf_counter() - start


def measured(*, width: int, retained: int, layers: int, seed: int) -> dict[str, Any]:
    """Fit one model, in this process."""
    torch.manual_seed(seed)
    processor: Any = build_llava()[1]
    tokenizer = processor.tokenizer
    tokenizer.chat_template = _CHAT
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=layers,
        num_attention_heads=max(width // 128, 1),
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    model = _Timed(config).eval()
    with torch.no_grad():
        model(torch.zeros(8, 64, dtype=torch.long), use_cache=False)
    forget, kept = (
        [
            {"prompt": f"What is the {word} of person {i}?", "group": i, "wording": word, "concept": concept}
            for i in groups
            for word in _ASKED
        ]
        for groups, concept in ((range(6), "all"), (range(6, 6 + retained // len(_ASKED)), None))
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.seconds = 0.0
    report = fit(
        model,
        tokenizer,
        forget,
        kept,
        prefer="retain",
        refusal=[{"prompt": f"Tell me a secret of person {i}."} for i in range(8)],
        batch_size=16,
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {
        "width": width,
        "retained": retained,
        "gibibytes": peak / 2**20,
        "seconds": report.seconds,
        "forward_seconds": model.seconds,
        "gates_ratio": report.seconds["gates"] / model.before_answers,
    }


if __name__ == "__main__":
    print(json.dumps(measured(**json.loads(sys.argv[1]))))

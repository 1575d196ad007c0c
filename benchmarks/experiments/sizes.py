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
from collections.abc import Mapping
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.markdown import table
from benchmarks.measuring import clock
from benchmarks.result import Result
from examples.small.models import build_llava
from hf_eraser import fit


_CHAT = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
_ASKED = ("name", "job", "pet", "hobby", "town", "food", "colour", "song")


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """
    Measure each size in a process of its own.

    Raises:
        RuntimeError: If `model_name` is `"cuda"` and there is no GPU.
    """
    if model_name == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("These sizes are for a GPU, and there is none: give `--models cpu`.")
    rows = []
    for size in configuration[model_name]:
        command = [sys.executable, "-m", "benchmarks.experiments.sizes", json.dumps({**size, "device": model_name})]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        rows.append(size | json.loads(found.splitlines()[-1]))
        print(rows[-1], flush=True)
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """A table for each device."""
    columns = (
        "width", "layers", "retained examples", "memory, GiB", "gates, s", "of their forward passes", "directions, s",
        "strength, s",
    )  # fmt: skip
    parts = ["## Sizes"]
    for device, result in results.items():
        cells = [
            (
                *(row[key] for key in ("width", "layers", "retained")),
                f"{row['gibibytes']:.2f}",
                f"{row['seconds']['gates']:.0f}",
                f"{row['gates_ratio']:.2f}",
                f"{row['seconds']['directions']:.0f}",
                f"{row['seconds']['strength']:.0f}",
            )
            for row in result.figures["rows"]
        ]
        where = (
            "in float32 on the CPU"
            if device == "cpu"
            else f"in bfloat16 on an {result.machine['accelerator']}, whose memory is meant"
        )
        parts += [
            f"Fits of Llamas with random weights, {where}: memory beyond that of the model, the time that gates took, "
            "that as a multiple of the forward passes in it, and the time that directions, and layers and strength, "
            "took.",
            table(columns, cells, left=0),
        ]
    return "\n\n".join(parts)


class _Timed(LlamaForCausalLM):
    """
    A model that notes the time of its forward passes.

    Attributes:
        seconds: The time so far.
        of_gates: The time before it first answered: gates only read.
    """

    seconds = 0.0
    of_gates: float | None = None

    @functools.wraps(LlamaForCausalLM.forward)
    def forward(self, *inputs: Any, **options: Any) -> Any:  # type: ignore[override]
        start = clock()
        try:
            return super().forward(*inputs, **options)
        finally:
            self.seconds += clock() - start

    def generate(self, *inputs: Any, **options: Any) -> Any:
        self.of_gates = self.seconds if self.of_gates is None else self.of_gates
        return super().generate(*inputs, **options)  # type: ignore[misc]


def to_fit(*, width: int, retained: int, layers: int, device: str) -> tuple[LlamaForCausalLM, dict[str, Any]]:
    """
    A Llama of random weights, in float32 on the CPU and bfloat16 elsewhere, and what `fit` takes beside it.

    Args:
        width: Of the residual stream.
        retained: How many examples are retained.
        layers: How many decoder layers it has.
        device: Where it is.
    """
    torch.manual_seed(0)
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
    torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
    with torch.device(device):  # where weights are drawn
        model = _Timed(config).eval()
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        model(torch.zeros(8, 64, dtype=torch.long, device=device), use_cache=False)
    forget, kept = (
        [
            {"prompt": f"What is the {word} of person {i}?", "group": i, "wording": word, "concept": concept}
            for i in groups
            for word in _ASKED
        ]
        for groups, concept in ((range(6), "all"), (range(6, 6 + retained // len(_ASKED)), None))
    )
    model.seconds = 0.0
    return model, {
        "processor": tokenizer,
        "forget": forget,
        "retain": kept,
        "refusal": [{"prompt": f"Tell me a secret of person {i}."} for i in range(8)],
        "prefer": "retain",
        "batch_size": 16,
    }


def measured(*, device: str, **size: int) -> dict[str, Any]:
    """Fit one model, in this process."""
    model: Any
    model, options = to_fit(device=device, **size)
    before = _peak(device)
    report = fit(model, **options)
    return {
        "gibibytes": (_peak(device) - before) / 2**30,
        "seconds": report.seconds,
        "forward_seconds": model.seconds,
        "gates_ratio": report.seconds["gates"] / model.of_gates,
    }


def _peak(device: str) -> int:
    """The most bytes taken so far, of the host's memory or the GPU's."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    print(json.dumps(measured(**json.loads(sys.argv[1]))))

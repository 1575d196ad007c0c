"""
A fit in two processes beside one in one, with a thread each: how much sooner it is done, and whether the adapter is
the same. The machine must have two cores that are free.

The model is one of `sizes`, whose weights make no difference to the time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.experiments.sizes import to_fit
from benchmarks.markdown import table
from benchmarks.result import Result
from hf_eraser import fit
from hf_eraser.data.processes import launched


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit by turns in one process and in two."""
    seconds: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    difference = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(configuration["turns"]):
            for count in seconds:
                out = Path(folder, f"{count}")
                size = json.dumps({**configuration["size"], "out": str(out)})
                module = ["-m", "benchmarks.experiments.processes", size]
                launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
                environment = {**os.environ, "OMP_NUM_THREADS": "1"}
                subprocess.run([sys.executable, *launcher, *module], check=True, env=environment)
                seconds[count].append(json.loads(out.with_suffix(".json").read_text()))
            one, two = (load_file(Path(folder, str(count))) for count in seconds)
            assert one.keys() == two.keys()
            difference = max(difference, *(float((one[name] - two[name]).abs().max()) for name in one))
    return {"seconds": {str(count): of for count, of in seconds.items()}, "difference": difference}


def page(results: Mapping[str, Result]) -> str:
    """A table."""
    (result,) = results.values()
    one, two = (result.figures["seconds"][count] for count in "12")
    rows = [
        (
            stage,
            f"{min(of[stage] for of in one):.1f}",
            f"{min(of[stage] for of in two):.1f}",
            f"{min(of[stage] for of in one) / min(of[stage] for of in two):.2f}",
        )
        for stage in one[0]
    ]
    size = result.configuration["size"]
    return "\n\n".join(
        [
            "## Two processes",
            f"A fit of a Llama of random weights (width {size['width']}, {size['layers']} layers, {size['retained']} "
            f"retained examples) in one process and in two, with a thread each; the best of "
            f"{result.configuration['turns']} turns, in seconds. The adapters differ by at most "
            f"{result.figures['difference']:.1e}.",
            table(("stage", "one", "two", "times as fast"), rows),
        ]
    )


def fitted(*, out: str, **size: int) -> None:
    """Fit in this process, or as one of those that were launched together; the first one writes."""
    torch.set_num_threads(1)
    model: Any
    model, options = to_fit(device="cpu", **size)
    start = time.perf_counter()
    report = fit(model, **options)
    seconds = {**report.seconds, "all": time.perf_counter() - start}
    if launched().main:
        save_file({name: tensor.contiguous() for name, tensor in model.get_adapter_state_dict().items()}, out)
        Path(out).with_suffix(".json").write_text(json.dumps(seconds))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    fitted(**json.loads(sys.argv[1]))

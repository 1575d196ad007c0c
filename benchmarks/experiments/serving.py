"""
What the plug-in costs on vLLM, as ratios to vLLM without it: throughput with everything at once, and latency at two
rates, with gates that stay shut and with a tenth of the prompts steered.

The model is a random Llama; weights make no difference to the time. Two engines stand side by side, one without the
plug-in; each round times every variant once, in turn, so that a busy machine slows all of them alike, and a ratio is
the median over the rounds. It needs an environment with vLLM, which `make test-serving` sets up.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.markdown import table
from benchmarks.result import Result
from hf_eraser import SteeringAdapterConfig
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.serving.checking import WORKER
from hf_eraser.serving.settings import KEY
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.layout import adapter_layout


_ROOT = Path(__file__).parents[2]

_PYTHON = os.environ.get("HF_ERASER_VLLM_PYTHON", str(_ROOT / ".venv-serving/bin/python"))

_OFF, _SHUT, _TENTH = "without the plug-in", "gates shut", "a tenth steered"


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Time the variants; no small model is used."""
    torch.manual_seed(configuration["seed"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _save(folder, configuration["model"])
        engines = {plugged: _Engine(folder, plugged=plugged) for plugged in (False, True)}
        try:
            return {"rows": _time(engines, configuration), "model": configuration["model"]}
        finally:
            for engine in engines.values():
                engine.close()


def page(results: Mapping[str, Result]) -> str:
    """A table."""
    (result,) = results.values()
    made = result.configuration
    rows = [
        (row["load"], row["variant"], *(f"{row[name]:.3f}" for name in ("throughput", "first", "last")))
        for row in result.figures["rows"]
        if row["variant"] != _OFF
    ]
    return "\n\n".join(
        [
            "## What serving costs",
            f"vLLM {result.figures['rows'][0]['vllm']} on the CPU, a Llama of {made['model']['num_hidden_layers']} "
            f"layers and width {made['model']['hidden_size']} in float32, {made['requests']} requests of "
            f"{made['tokens']} tokens that are answered with {made['length']}. As multiples of vLLM without the "
            f"plug-in in the same round; medians over {made['rounds']} rounds. Not measured: a GPU.",
            table(("requests come", "variant", "throughput", "time to first token", "to last"), rows, left=2),
        ]
    )


def _time(engines: Mapping[bool, _Engine], configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    pick = random.Random(configuration["seed"])
    count, tokens = configuration["requests"], configuration["tokens"]
    variants: dict[str, list[list[str]] | None] = {
        _OFF: None,
        _SHUT: [["shut"]] * count,
        _TENTH: [["shut", "open"] if number % 10 == 0 else ["shut"] for number in range(count)],
    }

    def once(variant: str, rate: float | None) -> dict[str, Any]:
        pace = random.Random(rate)
        arrivals = [0.0] * count
        for number in range(1, count if rate else 0):
            arrivals[number] = arrivals[number - 1] + pace.expovariate(rate or 1.0)
        prompts = [[pick.randrange(configuration["model"]["vocab_size"]) for _ in range(tokens)] for _ in range(count)]
        adapters = variants[variant]
        told = {"prompts": prompts, "arrivals": arrivals, "length": configuration["length"], "adapters": adapters}
        return engines[adapters is not None].tell(told)

    for variant in variants:
        once(variant, None)
    at_once = count / statistics.median(once(_OFF, None)["seconds"] for _ in range(3))
    loads = {"at once": None, **{f"at {share:g} of that": share * at_once for share in configuration["rates"]}}
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    names = list(variants)
    for i in tqdm(range(configuration["rounds"]), desc="Timing", unit="round"):
        for load, rate in loads.items():
            for variant in names[i % len(names) :] + names[: i % len(names)]:
                took = once(variant, rate)
                means = {name: statistics.mean(took[name]) for name in ("first", "last")}
                found.setdefault((load, variant), []).append({"throughput": 1 / took["seconds"], **means})
    return [
        {"load": load, "variant": variant, "vllm": _version()}
        | {
            name: statistics.median(a[name] / b[name] for a, b in zip(found[load, variant], found[load, _OFF]))
            for name in ("throughput", "first", "last")
        }
        for load in loads
        for variant in names
    ]


def _save(folder: Path, model: Mapping[str, Any]) -> None:
    """A model, and two adapters that steer as `fit` has it: one whose gates stay shut, one whose are always open."""
    llama = LlamaForCausalLM(LlamaConfig(**model, eos_token_id=None, bos_token_id=0)).eval()
    llama.save_pretrained(folder / "model")
    middle = model["num_hidden_layers"] // 2
    for name in ("shut", "open"):
        config = SteeringAdapterConfig(
            gate_layer=middle - 1,
            layers_to_transform=[middle, middle + 1],
            readout="joined",
            positions="last",
            steer_decode=False,
        )
        decoder, tensors = find_decoder(llama), {}
        for tensor in adapter_layout(decoder.names, decoder.hidden_size, config):
            if tensor.kind == "steering_gate_bounds":
                low = 1e6 if name == "shut" else -1e6
                tensors[tensor.file_name] = torch.tensor([low, low + 1]).expand(tensor.shape).clone()
            else:
                tensors[tensor.file_name] = torch.randn(tensor.shape)
        attach_fitted(llama, config, tensors, name)
        llama.set_adapter(name)
        llama.save_pretrained(folder / name)


class _Engine:
    def __init__(self, folder: Path, *, plugged: bool) -> None:
        environment = {**os.environ, "PYTHONPATH": _installed(folder), "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
        environment |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR"}
        environment |= {"VLLM_CACHE_ROOT": str(folder / "cache"), "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        self._process = subprocess.Popen(
            [_PYTHON, "-m", "benchmarks.vllm_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=environment,
        )
        arguments: dict[str, Any] = {
            "model": str(folder / "model"),
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": 512,
            "block_size": 32,
            "kv_cache_memory_bytes": 1 << 28,
            "skip_tokenizer_init": True,
        }
        if plugged:
            adapters = {name: str(folder / name) for name in ("shut", "open")}
            settings = {"adapters": adapters, "default": ["shut"], "clients_may_choose": True}
            arguments |= {"additional_config": {KEY: settings}, "worker_extension_cls": WORKER}
        self.tell(arguments)

    def tell(self, what: Mapping[str, Any]) -> Any:
        """One line, and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("vLLM ended; what it said is above.")
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _installed(folder: Path) -> str:
    """A path on which this package is found, and its entry points, without what it needs elsewhere."""
    about = folder / "installed" / "hf_eraser-0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hf_eraser\nVersion: 0\n")
    (about / "entry_points.txt").write_text("[vllm.general_plugins]\nhf_eraser = hf_eraser.serving.plug_in:load\n")
    return os.pathsep.join([str(about.parent), str(_ROOT)])


def _version() -> str:
    # What is installed is called `vllm-cpu`, `vllm` or else.
    said = subprocess.run([_PYTHON, "-c", "import vllm; print(vllm.__version__)"], capture_output=True, text=True)
    return said.stdout.split()[-1].partition("+")[0]

"""The result of one experiment on one model, as it lies in `benchmarks/results/`."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from hf_eraser import __version__
from hf_eraser.hub.saving import write_whole


FOLDER = Path(__file__).parent
RESULTS, CONFIGURATIONS = FOLDER / "results", FOLDER / "configurations"


@dataclass(frozen=True)
class Result:
    """
    What was measured, and what another measurement would need to be the same.

    Attributes:
        experiment: The name of the experiment, a module in `benchmarks.experiments`.
        model: The small model; `"none"` where an experiment makes its own.
        figures: What was measured; shares in [0, 1], times in seconds.
        configuration: What it was measured with, seeds and counts among it.
        command: The command that measured it.
        commit: The commit of this repository, with `+` behind it where files had been changed since.
        versions: Of what it ran with.
        machine: Processor, cores, threads and system.
        seconds: How long it took.
    """

    experiment: str
    model: str
    figures: dict[str, Any]
    configuration: dict[str, Any]
    command: str
    commit: str
    versions: dict[str, str]
    machine: dict[str, str | int]
    seconds: float

    def write(self) -> Path:
        """Write it to its file, whole or not at all."""
        path = result_file(self.experiment, self.model)
        path.parent.mkdir(exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        # A list of numbers on one line: a diff shows what has changed, and not every number.
        text = re.sub(r"\[[-\d.eE+,\s]+\]", lambda match: " ".join(match[0].split()), text)
        write_whole(path, text + "\n")
        return path


def result_file(experiment: str, model: str) -> Path:
    """Where the result of an experiment on a model lies."""
    return RESULTS / f"{experiment}-{model}.json"


def read_result(path: Path) -> Result:
    """
    Read a result file.

    Raises:
        TypeError: If it lacks a key of a result, or has another one.
    """
    return Result(**json.loads(path.read_text(encoding="utf-8")))


def read_results(experiment: str) -> dict[str, Result]:
    """The results of an experiment, by model."""
    found = [read_result(path) for path in sorted(RESULTS.glob(f"{experiment}-*.json"))]
    return {result.model: result for result in found}


def read_configuration(experiment: str) -> dict[str, Any]:
    """What an experiment is run with."""
    configuration: dict[str, Any] = json.loads((CONFIGURATIONS / f"{experiment}.json").read_text(encoding="utf-8"))
    return configuration


def current_commit() -> str:
    """The commit that is checked out, with `+` behind it where source files differ; `"unknown"` outside of a clone."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(FOLDER), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "../hf_eraser", "../examples", "../benchmarks/*.py")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def current_versions() -> dict[str, str]:
    """The versions of what figures depend on."""
    names = ("torch", "transformers", "peft", "tokenizers", "pillow", "numpy")
    return {"hf_eraser": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def current_machine() -> dict[str, str | int]:
    """The processor and what of it is used, and the accelerator if there is one."""
    accelerator = {"accelerator": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        **accelerator,
        "processor": _processor(),
        "system": platform.system(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
    }


def best_device() -> str:
    """Where experiments with real language models run: `"cuda"` if there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()

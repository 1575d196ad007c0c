"""
Mutated adapters, over every path by which one is loaded: each is loaded, or refused with a documented kind of error.

`python -m tests.safety.fuzzing --count 20000` runs long, with progress, and goes on where it was interrupted. What
mutation number i does follows from the seed and i alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from tqdm import tqdm
from transformers import AutoModelForCausalLM, LlamaForCausalLM
from transformers.utils import logging

from hf_eraser.cards import check_adapter_folder
from hf_eraser.hub.inspection import inspect_adapter
from hf_eraser.hub.reading import read_files
from hf_eraser.hub.validation import steering_config
from hf_eraser.tuner.config_file import read_config
from hf_eraser.tuner.fields import StoredConfig
from hf_eraser.tuner.steered_model import attached_adapters
from tests.helpers.adapters import attach, fingerprint
from tests.helpers.hub import HUB
from tests.hub.test_saving import small_model


CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"

# What is documented to be raised: a broken adapter, a missing or unreadable file, a package that is not there.
DOCUMENTED = (ValueError, OSError, ImportError)

_ODD: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    7,
    255,
    256,
    257,
    10**9,
    10**40,
    -(2**63),
    0.0,
    -0.0,
    0.5,
    1e-320,
    1e308,
    65504.0,
    3e38,
    "",
    " ",
    "STEERING",
    "LORA",
    "steering",
    "last",
    "prompt",
    "image",
    "joined",
    "linear",
    "always",
    "calibrated",
    "\x1b[2K\n",
    "../../etc/passwd",
    "a" * 5000,
    "\ud800",
    "org/none",
    "nul\0byte",
    "\u202e",
    [],
    [0],
    [-1],
    [0, 0],
    [[1]],
    [None],
    [10**9],
    list(range(300)),
    {},
    {"a": 1},
    {"base_model_class": "Evil", "parent_library": "os"},
    ["x"] * 50,
]

_KEYS = [
    "self",
    "cls",
    "__class__",
    "auto_map",
    "trust_remote_code",
    "runtime_config",
    "peft_config",
    "kwargs",
    "",
    "é",
    "\n",
]


def _config_value(rng: random.Random, folder: Path) -> None:
    path = folder / CONFIG
    values = json.loads(path.read_text())
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        key = rng.choice([*values, *_KEYS]) if values else rng.choice(_KEYS)
        if rng.random() < 0.15:
            values.pop(key, None)
        else:
            values[key] = rng.choice(_ODD)
    path.write_text(json.dumps(values))


def _config_text(rng: random.Random, folder: Path) -> None:
    path = folder / CONFIG
    text = path.read_text()
    at = rng.randrange(len(text))
    inserted = rng.choice(
        [
            "{",
            "}",
            '"',
            ",",
            "[",
            "]",
            ":",
            "NaN",
            "-Infinity",
            "1e999",
            "\\u0000",
            "\\ud800",
            "9" * 5000,
            '"strength": 2,',
            "[" * 20000,
            "/*",
            "\ufeff",
            "\0",
        ]
    )
    path.write_text(text[:at] + inserted + text[at + rng.choice((0, 0, 1, 5)) :], encoding="utf-8")


def _bytes(rng: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice((1, 1, 4, 64))):
        if data:
            data[rng.randrange(len(data))] = rng.randrange(256)
    kind = rng.random()
    if kind < 0.2:
        del data[rng.randrange(len(data) + 1) :]
    elif kind < 0.3:
        data += rng.randbytes(rng.randrange(1, 100))
    elif kind < 0.35:
        data = bytearray(rng.randbytes(rng.randrange(200)))
    path.write_bytes(data)


def _header(rng: random.Random, folder: Path) -> None:
    path = folder / TENSORS
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    name = rng.choice(list(header))
    kind = rng.randrange(6)
    if kind == 0:
        header[name + rng.choice((".x", "", "é", "\n", "/../x"))] = header.pop(name)
    elif kind == 1 and isinstance(header[name], dict):
        header[name][rng.choice(("dtype", "shape", "data_offsets"))] = rng.choice(
            [*_ODD, "F16", "F64", "I8", [1, 32], [1, 1 << 50]]
        )
    elif kind == 2:
        header.pop(name)
    elif kind == 3:
        header["__metadata__"] = rng.choice([{"adapter_config_sha256": "0" * 64}, {"x": "y"}, {"x": 1}, [], "a", None])
    elif kind == 4:
        header["x.steering_photo"] = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    stated = len(text) if kind < 5 else rng.choice((0, 1, len(text) + 1, 1 << 20, 1 << 40, (1 << 64) - 1))
    path.write_bytes(struct.pack("<Q", stated) + text + data[8 + length :])


def _values(rng: random.Random, folder: Path) -> None:
    """Numbers of the tensors, which are behind the header."""
    path = folder / TENSORS
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    for _ in range(rng.choice((1, 3, 30))):
        at = start + 4 * rng.randrange((len(data) - start) // 4)
        value = rng.choice(
            (0.0, 1e-45, -1e-39, 1e-30, 1.0, 300.0, 65504.0, 1e5, 1e30, 3e38, torch.inf, -torch.inf, torch.nan)
        )
        data[at : at + 4] = struct.pack("<f", value * rng.choice((1, -1)))
    path.write_bytes(data)


def _beside(rng: random.Random, folder: Path) -> None:
    name = rng.choice(
        [
            "config.json",
            "model.safetensors",
            "modeling.py",
            "adapter_model.bin",
            "notes.txt",
            "report.json",
            "adapter_config.next.json",
            "adapter_config.next-1f-2e.json",
            "report.png",
            "LICENSE",
        ]
    )
    (folder / name).write_bytes(rng.choice([b"", b"{}", b'{"model_type": "llama"}', rng.randbytes(40)]))


def _special(rng: random.Random, folder: Path) -> None:
    path = folder / rng.choice([CONFIG, TENSORS, "adapter_config.next-1f-2e.json", "report.json"])
    path.unlink(missing_ok=True)
    kind = rng.randrange(6)
    if kind == 0 and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to("/dev/zero")
    elif kind == 3:
        path.symlink_to("nowhere")
    elif kind == 4:
        path.symlink_to(path.name)
    # else it is gone


MUTATIONS: list[Callable[[random.Random, Path], None]] = [
    _config_value,
    _config_value,
    _config_value,
    _config_text,
    _header,
    _header,
    _values,
    _values,
    _beside,
    _special,
    lambda rng, folder: _bytes(rng, folder / CONFIG),
    lambda rng, folder: _bytes(rng, folder / TENSORS),
]


def _read_without_peft(model: Any, name: str) -> None:
    def read(path: Path, tensors: Path) -> object:
        values = read_config(path)
        return None if values is None else steering_config(values, path, StoredConfig)

    read_files(name, read)


# Each is given a fresh model; those that load one by themselves return it.
PATHS: dict[str, Callable[[Any, str], Any]] = {
    "plain": lambda model, name: model.load_adapter(name),
    "second": lambda model, name: model.load_adapter(name, adapter_name="second"),
    "peft": lambda model, name: PeftModel.from_pretrained(model, name),
    "auto": lambda model, name: AutoModelForCausalLM.from_pretrained(name),
    "class": lambda model, name: LlamaForCausalLM.from_pretrained(name),
    "auto peft": lambda model, name: AutoPeftModelForCausalLM.from_pretrained(name),
    "inspect": lambda model, name: inspect_adapter(name),
    "read": _read_without_peft,
    "push": lambda model, name: check_adapter_folder(name),
}

ON_THE_HUB = ("plain", "peft", "auto", "auto peft", "inspect", "read")


def _is_of_another_method(folder: Path) -> bool:
    """Whether a mutated configuration says so, by a name of PEFT's."""
    try:
        values = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and values.get("peft_type") == "LORA"


class Fuzzer:
    """
    Args:
        folder: A folder for what it makes; empty.
        seed: The seed of all mutations.
    """

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder, self.seed = folder, seed
        self.model = small_model()
        self.model.save_pretrained(folder / "base")
        made = AutoModelForCausalLM.from_pretrained(folder / "base")
        attach(made)
        made.save_pretrained(folder / "good")
        self.state = self._state()
        logging.set_verbosity(logging.CRITICAL)

    def _state(self) -> tuple[Any, ...]:
        model = self.model
        return (
            fingerprint(model),
            [type(module) for module in model.modules()],
            model._hf_peft_config_loaded,
            "peft_config" in vars(model),
            list(attached_adapters(model)),
            list(model.state_dict()),
        )

    def one(self, number: int) -> str | None:
        """Try mutation `number`; what went wrong, or None."""
        rng = random.Random(f"{self.seed} {number}")
        folder = self.folder / "mutated"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.folder / "good", folder)
        chosen = [rng.choice(MUTATIONS) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        # Special files come last: no other mutation can read what never ends.
        for mutation in sorted(chosen, key=lambda mutation: mutation is _special):
            with suppress(ValueError, OSError, LookupError, TypeError, struct.error, AttributeError, RecursionError):
                mutation(rng, folder)  # what an earlier one left may be no JSON any more
        path = rng.choice(list(PATHS))
        name = str(folder)
        if path in ON_THE_HUB and rng.random() < 0.4:
            name = self._put(folder, number)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                signal.alarm(120)
                loaded = PATHS[path](self.model, name)
                signal.alarm(0)
                if path in ("plain", "second", "peft"):
                    self._answers(path, loaded)
        except DOCUMENTED as error:
            if not str(error).strip():
                return f"{number} {path}: {type(error).__name__} without a message"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            if _is_of_another_method(folder):  # what reads it is none of this package
                self.model = small_model()
                return None
            return f"{number} {path} {name}: {''.join(traceback.format_exception(error)[-3:])}"
        finally:
            signal.alarm(0)
        if self._state() != self.state:
            self.model = small_model()
            return f"{number} {path}: the model is not as it was"
        return None

    def _answers(self, path: str, loaded: Any) -> None:
        """The steered logits are finite, and without the adapter the model is as it was."""
        ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
        model = loaded if path == "peft" else self.model
        with torch.no_grad():
            if not model(input_ids=ids).logits.isfinite().all():
                raise RuntimeError("logits that are not finite")
        if path == "peft":
            loaded.unload()
        else:
            for name in list(attached_adapters(self.model)):
                self.model.delete_adapter(name)

    @staticmethod
    def _put(folder: Path, number: int) -> str:
        HUB.reset()
        HUB.put(
            "org/mutated",
            {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.resolve() != Path("/dev/zero")},
        )
        return "org/mutated"


def main() -> int:
    """Run many mutations; 1 if one went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("build/fuzz.json"), help="where it goes on from")
    arguments = parser.parse_args()
    kept: dict[str, Any] = {"seed": arguments.seed, "next": 0, "failures": []}
    if arguments.state.is_file() and (read := json.loads(arguments.state.read_text()))["seed"] == arguments.seed:
        kept = read
    arguments.state.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        fuzzer = Fuzzer(Path(name), arguments.seed)
        bar = tqdm(range(kept["next"], arguments.count), initial=kept["next"], total=arguments.count, unit="mutation")
        for number in bar:
            if failure := fuzzer.one(number):
                kept["failures"].append(failure)
                bar.write(failure)
            if number % 50 == 49 or number + 1 == arguments.count:
                kept["next"] = number + 1
                arguments.state.write_text(json.dumps(kept, indent=1))
    print(f"{kept['next']} mutations, {len(kept['failures'])} went wrong; kept in {arguments.state}")
    return 1 if kept["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())

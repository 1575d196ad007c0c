"""What is done of a fit, kept in a private folder, so that a fit that was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.examples import Example
from ..data.processes import ALONE, Processes
from ..tuner.tensors import SteeringTensors
from ..version import __version__


_Made = TypeVar("_Made")

_KEY_NAME, _SUFFIX = "fit", ".stage"

# Numbers of each tensor of a model that tell it from others.
_NUMBERS = 64


class Stages:
    """
    The stages of a fit, each kept when it is done.

    Args:
        folder: Where they are kept, for nobody else to read: they hold what was read of the examples, and perturbed
            pictures. None keeps nothing.
        key: What tells this fit from others; see `fit_key`.
        processes: Those that fit together. The main one keeps the stages, and gives them to the others.

    Raises:
        ValueError: If the folder holds stages of another fit, or other things.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, key: str, processes: Processes = ALONE) -> None:
        self._folder = None if folder is None else Path(folder)
        self._processes = processes
        if self._folder is not None:
            processes.of_main(lambda: self._check(key))

    def _check(self, key: str) -> None:
        folder = self._folder
        assert self._folder is not None
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = self._folder / _KEY_NAME
        there = {path.name for path in self._folder.iterdir() if path.suffix != ".part"}
        if kept.is_file() and kept.read_text(encoding="utf-8") != key:
            raise ValueError(
                f"`resume`={str(folder)!r} holds stages of another fit: of other examples, arguments, weights or "
                "versions. Give those, or another folder."
            )
        if not kept.is_file() and there:
            raise ValueError(
                f"`resume`={str(folder)!r} must be a new folder, or one that an interrupted fit left; it holds "
                f"{sorted(there)[:3]}."
            )
        write_private(kept, lambda path: path.write_text(key, encoding="utf-8"))

    def __call__(self, name: str, make: Callable[[], _Made]) -> _Made:
        """What a stage gives: what is kept of it, else what `make` gives, which is then kept."""
        if self._folder is None:
            return make()
        path = self._folder / f"{name}{_SUFFIX}"
        if self._processes.of_main(path.is_file):
            # A pickle of this user's own process, in a folder of this user's own.
            found: _Made = self._processes.of_main(lambda: torch.load(path, weights_only=False))
            return found
        made = make()
        self._processes.of_main(lambda: write_private(path, lambda part: torch.save(made, part)))
        return made

    def remove(self) -> None:
        """Delete what is kept: the fit is done."""
        folder = self._folder
        if folder is not None:
            self._processes.of_main(lambda: shutil.rmtree(folder))


def write_private(path: Path, write: Callable[[Path], object]) -> None:
    """The file is there whole, or not at all, whenever the process ends; nobody else may read it."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    write(part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def fit_key(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    sets: Iterable[Iterable[Example]],
    arguments: dict[str, Any],
) -> str:
    """A digest of all that a fit depends on: the model, by some of its numbers, the examples and the arguments."""
    asked = processor.chat_template
    digest = hashlib.sha256(repr((__version__, torch.__version__, asked, sorted(arguments.items()))).encode())
    digest.update(model.config.to_json_string().encode())
    for examples in sets:
        for example in examples:
            digest.update(
                repr((example.key, example.group, example.wording, example.concept, example.answer)).encode()
            )
        digest.update(b"|")
    steering = {
        id(tensor)
        for module in model.modules()
        if isinstance(module, SteeringTensors)
        for tensor in module.parameters()
    }
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if id(tensor) in steering:  # off while a fit reads
            continue
        digest.update(repr((name, tensor.shape, tensor.dtype)).encode())
        if isinstance(tensor, DTensor):  # in parts, in several processes, all of which are here
            tensor = tensor.full_tensor()
        if tensor.numel() and type(tensor.data) is torch.Tensor and tensor.device.type != "meta":
            flat = tensor.detach().flatten()
            # A copy: what NumPy has seen, FSDP cannot free any more.
            some = flat[:: max(1, len(flat) // _NUMBERS)].cpu().clone(memory_format=torch.contiguous_format)
            digest.update(some.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

"""
What an adapter's files have to be before anything is made of them.

Whatever comes from a repository is data: one JSON file and one safetensors file are read, no pickle is opened, and
no code runs. Sizes and shapes are checked before memory is taken for them, and everything before a model is touched.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..tuner.config_file import BRIEF, CONFIG_LIMIT
from ..tuner.fields import Config
from ..tuner.layout import AdapterTensor
from ..tuner.regular_file import open_regular, read_regular
from ..tuner.tensor_values import check_values


CONFIG_NAME = "adapter_config.json"

TENSORS_NAME = "adapter_model.safetensors"

# A save gives the new configuration such a name for as long as the tensors are new and the configuration is not. The
# name holds what no publisher can know of a file on this disk: see `recovery_name`.
_RECOVERY_NAME = re.compile(r"adapter_config\.next-[0-9a-f]+-[0-9a-f]+\.json")

# In the tensors' metadata: the SHA-256 of the configuration that was saved with them.
DIGEST_KEY = "adapter_config_sha256"

# In bytes; a header of ours has about a hundred a tensor.
HEADER_LIMIT = 1 << 20


def recovery_name(config: Path) -> str:
    """
    What a save calls a new configuration until it is in its place: by its inode and its time, which moving it keeps.

    A file that was downloaded, unpacked or copied has others, and its maker cannot know them.
    """
    status = config.stat()
    return f"adapter_config.next-{status.st_ino:x}-{status.st_mtime_ns:x}.json"


def recovery_files(folder: Path) -> list[Path]:
    """The files in a folder that are called as a save that was cut off leaves one, of whomever."""
    return sorted(folder / name for name in os.listdir(folder) if is_recovery_name(name))


def is_recovery_name(name: str) -> bool:
    """Whether a file is called as a save that was cut off leaves one."""
    return _RECOVERY_NAME.fullmatch(name) is not None


def is_own(recovery: Path) -> bool:
    """Whether a save of this process's user, in this very folder, left this file."""
    owner = getattr(os, "geteuid", lambda: recovery.stat().st_uid)()
    return recovery.name == recovery_name(recovery) and recovery.stat().st_uid == owner


def current_config_file(folder: Path) -> Path:
    """
    The configuration that belongs to the tensors in `folder`, also where a save was cut off between the two.

    Raises:
        ValueError: If the tensors belong to a configuration that a save left which was cut off, and that was not a
            save of this user in this folder. What is in its place is then of another adapter.
    """
    config = folder / CONFIG_NAME
    for recovery in recovery_files(folder):
        try:
            with opened_tensors(folder / TENSORS_NAME) as file:
                saved_with = (file.metadata() or {}).get(DIGEST_KEY)
            if saved_with != _digest(recovery) or (config.exists() and saved_with == _digest(config)):
                continue
            own = is_own(recovery)
        except (ValueError, OSError):
            continue  # no tensors that it could belong to
        if own:
            return recovery
        raise ValueError(
            f"{config} is not the configuration of the tensors beside it. {recovery.name} is, which a save "
            "leaves that is cut off; but not one by you in this folder, so it is not used. Have the adapter saved "
            f"again, or, if you know where it is from, rename it to {CONFIG_NAME}."
        )
    return config


def _digest(config: Path) -> str:
    return hashlib.sha256(read_regular(config, CONFIG_LIMIT)).hexdigest()


def steering_config(values: Mapping[str, Any], path: Path, kind: type[Config]) -> Config:
    """
    The configuration of this kind with these values. Keys that it does not know are ignored, with a warning that lists
    them.

    Raises:
        ValueError: If a value cannot be used. The message names the file.
    """
    known = {field.name for field in fields(kind)}
    unknown = sorted(values.keys() - known)
    if unknown:
        warnings.warn(
            f"{path} holds keys that this version of hf_eraser does not know, and ignores: {BRIEF.repr(unknown)}. A "
            "newer version may have written them; nothing in a repository is ever run.",
            stacklevel=2,
        )
    try:
        return kind(**{name: value for name, value in values.items() if name in known})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_tensors(path: Path, layout: Sequence[AdapterTensor], strength: float, prefix: str = "") -> dict[str, Tensor]:
    """
    Read an adapter's tensors. Names, dtypes and shapes are compared in the file's header, before a tensor is read.

    Args:
        path: The safetensors file.
        layout: The tensors that the adapter's configuration and the base model ask for.
        strength: The strength that the directions are used with.
        prefix: Where a model of this architecture with a head holds the model without one. The file may come from
            either, as the file of a base model may (`AutoModel` and `AutoModelForCausalLM`).

    Returns:
        The tensors by their names in `layout`, float32.

    Raises:
        ValueError: If the file is no safetensors file or not whole; if a tensor is missing, unknown, not in float32 or
            of another shape; or if it holds what cannot be used. The message names the file.
    """
    expected = {tensor.file_name: tensor for tensor in layout}
    with opened_tensors(path) as file:
        names = set(file.keys())
        stored_as = _stored_names(expected, names, prefix)
        if stored_as is None:
            raise ValueError(
                f"The tensors in {path} do not match the adapter's configuration and this model: missing "
                f"{BRIEF.repr(sorted(expected.keys() - names))}, unknown "
                f"{BRIEF.repr(sorted(names - expected.keys()))}."
            )
        for name, tensor in expected.items():
            stored = file.get_slice(stored_as[name])
            if stored.get_dtype() != "F32":
                raise ValueError(f"Tensor {name!r} in {path} has dtype {stored.get_dtype()}, it must be F32.")
            if tuple(stored.get_shape()) != tensor.shape:
                raise ValueError(
                    f"Tensor {name!r} in {path} has shape {tuple(stored.get_shape())}, the adapter's configuration "
                    f"and this model need {tensor.shape}. The adapter was made for another base model, or changed."
                )
        # Copies: what `safe_open` gives is the file itself, mapped into memory.
        tensors = {name: file.get_tensor(stored_as[name]).clone() for name in expected}
    for name, tensor in expected.items():
        try:
            check_values(name, tensor.kind, tensors[name], strength)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return tensors


def _stored_names(expected: Iterable[str], names: set[str], prefix: str) -> dict[str, str] | None:
    bare, headed = "base_model.model.", f"base_model.model.{prefix}."
    for here, there in ((bare, bare), (bare, headed), (headed, bare)):
        stored_as = {name: there + name.removeprefix(here) for name in expected}
        if set(stored_as.values()) == names:
            return stored_as
    return None


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """An open safetensors file, whose header has been checked: by us for its size, by safetensors for all else."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        header = int.from_bytes(file.read(8), "little")
    if size < 8 or header > min(size - 8, HEADER_LIMIT):
        raise ValueError(
            f"{path} claims a header of {header} bytes and has {size} bytes in all; a header may have {HEADER_LIMIT}."
        )
    try:
        with safe_open(path, framework="pt") as opened:
            yield opened
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error

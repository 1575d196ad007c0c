"""
What an adapter's files have to be before anything is made of them.

Whatever comes from a repository is data: one JSON file and one safetensors file are read, no pickle is opened, and
no code runs. Sizes and shapes are checked before memory is taken for them, and everything before a model is touched.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import BRIEF, CONFIG_LIMIT
from ..tuner.tensor_values import check_values
from ..tuner.tensors import AdapterTensor


CONFIG_NAME = "adapter_config.json"

TENSORS_NAME = "adapter_model.safetensors"

# A save puts the new configuration here for as long as the tensors are new and the configuration is not: `saving.py`.
NEXT_CONFIG_NAME = "adapter_config.next.json"

# In the tensors' metadata: the SHA-256 of the configuration that was saved with them.
DIGEST_KEY = "adapter_config_sha256"

# In bytes; a header of ours has about a hundred a tensor.
HEADER_LIMIT = 1 << 20


def current_config_file(folder: Path) -> Path:
    """The configuration that belongs to the tensors in `folder`, also where a save was cut off between the two."""
    following = folder / NEXT_CONFIG_NAME
    try:
        if following.stat().st_size <= CONFIG_LIMIT:
            with opened_tensors(folder / TENSORS_NAME) as file:
                saved_with = (file.metadata() or {}).get(DIGEST_KEY)
            if saved_with == hashlib.sha256(following.read_bytes()).hexdigest():
                return following
    except (ValueError, OSError):
        pass  # there is none, as a rule, or no tensors that it could belong to
    return folder / CONFIG_NAME


def steering_config(values: Mapping[str, Any], path: Path) -> SteeringAdapterConfig:
    """
    The configuration with these values. Keys that it does not know are ignored, with a warning that lists them.

    Raises:
        ValueError: If a value cannot be used. The message names the file.
    """
    known = {field.name for field in fields(SteeringAdapterConfig)}
    unknown = sorted(values.keys() - known)
    if unknown:
        warnings.warn(
            f"{path} holds keys that this version of hf_eraser does not know, and ignores: {BRIEF.repr(unknown)}. A "
            "newer version may have written them; nothing in a repository is ever run.",
            stacklevel=2,
        )
    try:
        return SteeringAdapterConfig(**{name: value for name, value in values.items() if name in known})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_tensors(path: Path, layout: Sequence[AdapterTensor], strength: float) -> dict[str, Tensor]:
    """
    Read an adapter's tensors. Names, dtypes and shapes are compared in the file's header, before a tensor is read.

    Args:
        path: The safetensors file.
        layout: The tensors that the adapter's configuration and the base model ask for.
        strength: The strength that the directions are used with.

    Returns:
        The tensors by name, float32.

    Raises:
        ValueError: If the file is no safetensors file or not whole; if a tensor is missing, unknown, not in float32 or
            of another shape; or if it holds what cannot be used. The message names the file.
    """
    expected = {tensor.file_name: tensor for tensor in layout}
    with opened_tensors(path) as file:
        names = set(file.keys())
        if names != expected.keys():
            raise ValueError(
                f"The tensors in {path} do not match the adapter's configuration and this model: missing "
                f"{BRIEF.repr(sorted(expected.keys() - names))}, unknown "
                f"{BRIEF.repr(sorted(names - expected.keys()))}."
            )
        for name, tensor in expected.items():
            stored = file.get_slice(name)
            if stored.get_dtype() != "F32":
                raise ValueError(f"Tensor {name!r} in {path} has dtype {stored.get_dtype()}, it must be F32.")
            if tuple(stored.get_shape()) != tensor.shape:
                raise ValueError(
                    f"Tensor {name!r} in {path} has shape {tuple(stored.get_shape())}, the adapter's configuration "
                    f"and this model need {tensor.shape}. The adapter was made for another base model, or changed."
                )
        # Copies: what `safe_open` gives is the file itself, mapped into memory.
        tensors = {name: file.get_tensor(name).clone() for name in expected}
    for name, tensor in expected.items():
        try:
            check_values(name, tensor.kind, tensors[name], strength)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    return tensors


@contextmanager
def opened_tensors(path: Path) -> Iterator[Any]:
    """An open safetensors file, whose header has been checked: by us for its size, by safetensors for all else."""
    with path.open("rb") as file:
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

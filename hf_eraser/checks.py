"""
What an adapter's files have to be before anything is made of them.

Whatever comes from a repository is data: one JSON file and one safetensors file are read, no pickle is opened, and
no code runs. Sizes and shapes are checked before memory is taken for them, and everything before a model is touched.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import re
import reprlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .config import LARGEST, SteeringAdapterConfig
from .layer import AdapterTensor


CONFIG_NAME = "adapter_config.json"
TENSORS_NAME = "adapter_model.safetensors"
# A save puts the new configuration here for as long as the tensors are new and the configuration is not: `saving.py`.
NEXT_CONFIG_NAME = "adapter_config.next.json"
# In the tensors' metadata: the SHA-256 of the configuration that was saved with them.
DIGEST_KEY = "adapter_config_sha256"

# A configuration of ours has one or two kilobytes, and the header of the tensors about a hundred bytes a tensor.
CONFIG_LIMIT = 1 << 20
HEADER_LIMIT = 1 << 20

_BRIEF = reprlib.Repr()
_BRIEF.maxstring = 120


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


def read_config(path: Path) -> dict[str, Any] | None:
    """
    What is in an adapter's configuration file; `None` if it is the configuration of another PEFT method.

    Raises:
        ValueError: If the file is no JSON object in UTF-8; or if it is a steering adapter's, and larger than 1 MiB, or
            holds a key twice, or a number that is none.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > CONFIG_LIMIT:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                # In JSON, letters may be escaped; nobody does so but to hide them.
                if not re.search(rb'"STEERING"|\\u00[45]', content):
                    return None
                raise ValueError(f"{path} has {len(content)} bytes; a configuration has at most {CONFIG_LIMIT}.")
        data = file.read()
    faults: list[str] = []

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                faults.append(f"holds {_BRIEF.repr(key)} twice")
            values[key] = value
        return values

    def no_number(text: str) -> float:
        faults.append(f"holds {text}, which is no JSON number")
        return float(text)

    try:
        values = json.loads(data.decode("utf-8"), object_pairs_hook=without_duplicates, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must hold a JSON object in UTF-8, and cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {_BRIEF.repr(values)}.")
    if values.get("peft_type") != "STEERING":
        return None
    if faults:
        raise ValueError(f"{path} {faults[0]}. Have it written by `save_pretrained` again.")
    return values


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
            f"{path} holds keys that this version of hf_eraser does not know, and ignores: {_BRIEF.repr(unknown)}. A "
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
                f"{_BRIEF.repr(sorted(expected.keys() - names))}, unknown "
                f"{_BRIEF.repr(sorted(names - expected.keys()))}."
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


def check_values(name: str, kind: str, tensor: Tensor, strength: float) -> None:
    """
    Check what a steering tensor holds.

    A direction times the strength must be within what float16 can hold, 65504: added to a residual stream in half
    precision, anything larger would be infinite. A gate weight must be so small that no residual stream within the
    same range makes the score, a sum over d products, overflow in float32.

    Args:
        name: The tensor's name, for the message.
        kind: Which of the steering tensors it is.
        tensor: Its value.
        strength: The strength that directions are used with.

    Raises:
        ValueError: If it holds NaN, infinite or too large values, or gate bounds that are neither finite with
            low < high nor infinite.
    """
    if kind == "steering_gate_bounds":
        check_bounds(name, tensor)
        return
    if not torch.isfinite(tensor).all():
        raise ValueError(f"Tensor {name!r} holds NaN or infinite values: the adapter is broken, fit it again.")
    if kind == "steering_direction":
        limit = LARGEST / max(strength, 1.0)
    else:
        limit = torch.finfo(torch.float32).max / (LARGEST * tensor.shape[-1])
    largest = tensor.abs().max().item()
    if largest > limit:
        raise ValueError(
            f"Tensor {name!r} holds values up to {largest:.3g}, at most {limit:.3g} is allowed: more would overflow "
            "in the model. The adapter is broken, fit it again."
        )


def check_bounds(name: str, bounds: Tensor) -> None:
    """
    Raises:
        ValueError: If a gate's bounds, (..., 2), are neither finite with low < high nor infinite (never steered).
    """
    low, high = bounds.unbind(dim=-1)
    never = torch.isposinf(low)
    if not (never | (torch.isfinite(low) & torch.isfinite(high) & (low < high))).all():
        raise ValueError(
            f"Tensor {name!r} holds gate bounds {_BRIEF.repr(bounds.tolist())}: each pair must be finite with low < "
            "high, or have an infinite low for a modality that is never steered."
        )

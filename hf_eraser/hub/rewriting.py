"""What is published of an adapter: written anew from what was read, so that nothing else is in it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from transformers import GenerationConfig

from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import read_config
from ..tuner.fields import SteeringFields
from ..tuner.layout import TENSOR_KINDS, AdapterTensor, tensor_shapes
from .saving import add_digest
from .validation import DIGEST_KEY, opened_tensors, read_tensors, steering_config


# What fields that are text hold where a save has written them.
_TEXT = {
    "revision": r"[\w./-]{1,200}",
    "base_model_type": r"[\w.-]{1,100}",
    "base_precision": r"b?float\d+[\w.,/ +()=-]{0,100}",
    "peft_version": r"[\w.+@-]{1,100}",
}

_NAME = r"[A-Za-z_][\w.]{0,200}"


def published_config(path: Path, called: Path | None = None) -> dict[str, Any]:
    """
    An adapter's configuration as it is published: its known fields, each of which is what a save writes there.

    Args:
        path: The file.
        called: What messages call it; the default is its path.

    Warns:
        UserWarning: If the file holds other keys, which are left out.

    Raises:
        ValueError: If it cannot be used, or a field holds something else.
    """
    values = read_config(path)
    if values is None:
        raise ValueError(f"{path} is not the configuration of a steering adapter.")
    path = called or path
    config = steering_config(values, path, SteeringAdapterConfig)
    for name, pattern in _TEXT.items():
        value = getattr(config, name)
        if value is not None and not (isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII)):
            raise ValueError(f"{path}: `{name}` holds what no save writes there, {value!r}. It is not published.")
    for name, value in (config.auto_mapping or {}).items():
        known = name in ("base_model_class", "parent_library")
        if not known or not isinstance(value, str) or not re.fullmatch(_NAME, value, re.ASCII):
            raise ValueError(f"{path}: `auto_mapping` holds what no save writes there, {name!r}. It is not published.")
    return config.to_dict()


def rewrite_tensors(path: Path, config_file: Path, config: SteeringFields) -> None:
    """
    Write an adapter's tensors anew: those that its configuration asks for, without metadata but the digest.

    Args:
        path: The safetensors file, which is replaced.
        config_file: The configuration that was saved beside it.
        config: What that says.

    Raises:
        ValueError: If the file holds anything but the adapter's tensors, or they cannot be used.
    """
    with opened_tensors(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        metadata = file.metadata() or {}
    tensors = read_tensors(path, _layout(path, shapes, config), config.strength)
    save_file(tensors, path, {"format": "pt"})
    digest = hashlib.sha256(config_file.read_bytes()).hexdigest()
    if metadata.get(DIGEST_KEY) == digest:
        add_digest(path, digest)


def _layout(path: Path, shapes: Mapping[str, tuple[int, ...]], config: SteeringFields) -> list[AdapterTensor]:
    """The tensors that a configuration asks for, on the layers that the names in the file speak of."""
    parsed = {name: re.fullmatch(r"base_model\.model\.(.+)\.(\d+)\.(\w+)", name) for name in shapes}
    foreign = [
        name
        for name, parts in parsed.items()
        if parts is None or parts[3] not in TENSOR_KINDS or not re.fullmatch(_NAME, parts[1], re.ASCII)
    ]
    stacks = {parts[1] for parts in parsed.values() if parts}
    if foreign or len(stacks) != 1:
        raise ValueError(
            f"{path} holds tensors that are no steering adapter's: {foreign[:5] or sorted(shapes)[:5]}. They are not "
            "published."
        )
    depth = 1 + max(int(parts[2]) for parts in parsed.values() if parts)
    width = next((shape[-1] for name, shape in shapes.items() if name.endswith(".steering_direction")), 1)
    resolved = config.resolved(
        hidden_size=config.hidden_size or width, num_hidden_layers=config.num_hidden_layers or depth
    )
    assert resolved.num_hidden_layers is not None
    (stack,) = stacks
    return [
        AdapterTensor(f"base_model.model.{stack}.{index}.{kind}", index, kind, shape)
        for index in range(min(resolved.num_hidden_layers, depth))
        for kind, shape in tensor_shapes(resolved, index).items()
    ]


def rewrite_generation_config(path: Path) -> None:
    """
    Write a `generation_config.json` anew: the settings that transformers knows, so far as they are numbers.

    Raises:
        ValueError: If it is no JSON object.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object.")
    known = {
        name: value for name, value in values.items() if name in GenerationConfig().to_dict() and _is_plain(value)
    }
    if re.fullmatch(_TEXT["peft_version"], str(values.get("transformers_version")), re.ASCII):
        known["transformers_version"] = values["transformers_version"]
    path.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return len(value) <= 64 and all(isinstance(item, int) for item in value)
    return value is None or isinstance(value, (bool, int, float))


def fields_of(config: Mapping[str, Any]) -> SteeringAdapterConfig:
    """The configuration that `published_config` gave."""
    names = {field.name for field in dataclasses.fields(SteeringAdapterConfig)}
    return SteeringAdapterConfig(**{name: value for name, value in config.items() if name in names})

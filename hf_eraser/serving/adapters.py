"""An adapter as a server holds it: read from its two files, checked by the same code as everywhere."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..hub.base_facts import compare_base
from ..hub.reading import no_tensors, read_files
from ..hub.validation import opened_tensors, read_tensors, steering_config
from ..tuner.config_file import read_config
from ..tuner.fields import StoredConfig
from ..tuner.layout import adapter_layout


_NAME = re.compile(r"base_model\.model\.(.+)\.\d+\.steering_\w+")


@dataclass(frozen=True)
class BaseModel:
    """
    The model that is served.

    Attributes:
        name: What it was loaded by.
        model_type: Of its configuration.
        hidden_size: Width of the residual stream.
        num_layers: Layers of the text decoder.
        precision: What it computes in; see `precision_in_words`.
    """

    name: str
    model_type: str
    hidden_size: int
    num_layers: int
    precision: str


@dataclass(frozen=True)
class ServedAdapter:
    """
    Attributes:
        config: Its configuration, every layer counted from 0.
        tensors: By layer and kind, float32, shaped as in the file.
        files: The folder that its two files are in.
        digest: SHA-256 of both files.
    """

    config: StoredConfig
    tensors: dict[int, dict[str, Tensor]]
    files: Path
    digest: str

    @property
    def steered_layers(self) -> list[int]:
        assert isinstance(self.config.layers_to_transform, list)
        return self.config.layers_to_transform

    def gate_layers_of(self, has_image: bool) -> list[int]:
        """The layers that decide about a prompt with, or without, an image."""
        config = self.config
        return config.gate_layers if config.gate_layer is None else [config.gate_layer_of(has_image)]

    def tensor(self, layer: int, kind: str, device: torch.device) -> Tensor:
        return self.tensors[layer][f"steering_{kind}"].to(device)


def read_served(name: str, name_or_path: str, base: BaseModel) -> ServedAdapter:
    """
    Read an adapter for the model that is served.

    Args:
        name: What requests know it by, for messages.
        name_or_path: Its folder, or its id on the Hub.
        base: The model.

    Raises:
        ValueError: If there is none, if it is broken or was made for another model, or if it cannot be served. The
            message says what to do.
        OSError: If it cannot be downloaded.
    """
    try:
        adapter = read_files(name_or_path, lambda path, tensors: _read(path, tensors, base))
    except (ValueError, OSError) as error:
        raise type(error)(f"Adapter {name!r}: {error}") from error
    if adapter is None:
        raise ValueError(f"Adapter {name!r}: {name_or_path} is neither the folder nor the id of a steering adapter.")
    _check_servable(name, adapter.config)
    return adapter


def _read(path: Path, tensors_path: Path, base: BaseModel) -> ServedAdapter:
    values = read_config(path)
    if values is None:
        raise ValueError(f"{path} is the configuration of another PEFT method, not of STEERING.")
    if not tensors_path.is_file():
        raise ValueError(no_tensors(str(tensors_path.parent)))
    config = steering_config(values, path, StoredConfig)
    try:
        compare_base(config, model_type=base.model_type, name=base.name, commit=None, precision=base.precision)
        layers = _layer_names(tensors_path, base.num_layers)
        layout = adapter_layout(layers, base.hidden_size, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    read = read_tensors(tensors_path, layout, config.strength)
    tensors: dict[int, dict[str, Tensor]] = {}
    for tensor in layout:
        tensors.setdefault(tensor.layer, {})[tensor.kind] = read[tensor.file_name]
    digest = hashlib.sha256(path.read_bytes() + tensors_path.read_bytes()).hexdigest()
    config = config.resolved(hidden_size=base.hidden_size, num_hidden_layers=base.num_layers)
    return ServedAdapter(config, tensors, path.parent, digest)


def _layer_names(path: Path, count: int) -> list[str]:
    """The names of the decoder's layers in transformers, which a server does not know, as the tensors have them."""
    with opened_tensors(path) as file:
        found = {match[1] for name in file.keys() if (match := _NAME.fullmatch(name))}
    if len(found) != 1:
        raise ValueError(f"its tensors must be on the layers of one decoder, and are on {sorted(found) or 'none'}.")
    return [f"{min(found)}.{layer}" for layer in range(count)]


def _check_servable(name: str, config: StoredConfig) -> None:
    if config.positions != "last":
        raise ValueError(
            f"Adapter {name!r} steers the whole prompt, which a server with a prefix cache cannot do in one pass: fit "
            'it with `positions="last"`, which steers the last prompt token only.'
        )
    if config.answer is not None:
        raise ValueError(
            f'Adapter {name!r} puts out a fixed answer, which is not served: fit it with `answer="refusal"`.'
        )
    if config.strength == 0:
        raise ValueError(f"Adapter {name!r} has `strength`=0, so it would never steer: fit it again.")

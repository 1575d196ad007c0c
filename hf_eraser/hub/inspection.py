"""What an adapter would do to a model, from the adapter's files and the model's configuration: no weights are read."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import AutoConfig

from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import BRIEF, CONFIG_LIMIT, read_config
from ..tuner.decoder import find_decoder
from ..tuner.fields import gate_layers_in_words, steered_in_words
from ..tuner.gate import TEXT_ONLY, WITH_IMAGE
from ..tuner.layout import adapter_layout
from ..tuner.printable import printable
from ..tuner.regular_file import read_regular
from .adapter_folder import REPORT_FILE
from .beside import check_folder
from .model_loading import model_class
from .reading import download_adapter
from .repository import read_adapter
from .unusual import unusual
from .validation import TENSORS_NAME, current_config_file, opened_tensors, steering_config


_MODALITIES = {"with image": WITH_IMAGE, "text only": TEXT_ONLY}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in an adapter's file: its name, shape, dtype as safetensors calls it, and size in bytes."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int


@dataclass(frozen=True)
class Inspection:
    """
    What an adapter is and would do. `print(inspection)` is readable.

    Attributes:
        adapter: The folder or id on the Hub.
        config: Its configuration; with a model, resolved for it.
        tensors: What its file holds.
        bounds: The bounds of each gate, (2, k, 2), by the name of the tensor; first axis: with image, text only.
        model: The class of the model that it was compared with; None without.
        layers: With a model, the name of each decoder layer that the gate reads or that is steered, by its number.
        unusual: What no fit makes, in words.
    """

    adapter: str
    config: SteeringAdapterConfig
    tensors: list[StoredTensor]
    bounds: dict[str, Tensor]
    model: str | None
    layers: dict[int, str]
    unusual: list[str]

    def __str__(self) -> str:
        config = self.config
        base = config.base_model_name_or_path or "not recorded"
        revision = f", revision {config.revision}" if config.revision else ""
        reads = repr(config.readout) + (f" (text only: {config.text_readout!r})" if config.text_readout else "")
        steered = config.layers_to_transform
        assert not isinstance(steered, int)
        if config.gate == "always":
            gate = "always open, whatever the prompt"
        else:
            where = gate_layers_in_words(config.gate_layer, config.text_gate_layer)
            gate = f"{config.gate}, reads {reads} at {where}"
        lines = [
            f"Steering adapter {self.adapter}",
            f"  base      {base}{revision}",
            f"  made for  {config.num_hidden_layers or 'any number of'} decoder layers, width "
            f"{config.hidden_size or 'any'}",
            f"  gate      {gate}",
            *(self._modality(name) for name in _MODALITIES if config.gate != "always"),
            f"  steering  {'all layers from the gate on' if steered is None else _layers(steered)} at strength "
            f"{config.strength:g}, {steered_in_words(config.positions, config.steer_decode)}, "
            f"{config.rank} direction{'s' if config.rank > 1 else ''} a layer",
            *([] if config.answer is None else [f"  answer    {BRIEF.repr(config.answer)}, word for word"]),
            f"  tensors   {len(self.tensors)}, {sum(tensor.size for tensor in self.tensors):,} bytes",
        ]
        width = max((len(tensor.name) for tensor in self.tensors), default=0)
        lines += [
            f"    {tensor.name:{width}s}  {tensor.dtype}  {'x'.join(map(str, tensor.shape)):>9s}  "
            f"{tensor.size:>9,d} bytes"
            for tensor in self.tensors
        ]
        if self.model is not None:
            lines.append(f"  fits {self.model}")
            lines += [f"    {self._role(layer):16s}  {name}" for layer, name in self.layers.items()]
        lines += [f"  UNUSUAL   {one}" for one in self.unusual]
        # Names and values are of whoever made the adapter.
        return "\n".join(map(printable, lines))

    def _modality(self, modality: str) -> str:
        opening = []
        for bounds in self.bounds.values():
            for low, high in bounds[_MODALITIES[modality]].tolist():
                if low == torch.inf:
                    opening.append("never")
                elif self.config.gate == "linear":
                    opening.append("by its score, from 0 on")
                else:
                    opening.append(f"from a score of {low:.4g}, fully from {high:.4g}")
        if self.config.text_gate_layer is not None:  # a layer that is not for this modality has bounds too
            opening = [text for text in opening if text != "never"] or ["never"]
        return f"            {modality + ':':11s} opens {'; '.join(dict.fromkeys(opening))}"

    def _role(self, layer: int) -> str:
        steered = self.config.layers_to_transform
        assert isinstance(steered, list)
        read = layer in self.config.gate_layers
        return " and ".join(["read"] * read + ["steered"] * (layer in steered))


def _layers(numbers: Sequence[int]) -> str:
    return f"layer{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def inspect_adapter(
    adapter: str | os.PathLike[str], *, model: str | None = None, streams: Mapping[int, float] | None = None
) -> Inspection:
    """
    Look at an adapter without loading a model: no weights are read but the adapter's own.

    Args:
        adapter: A folder, or an id on the Hub.
        model: The base model to compare it with, a folder or an id on the Hub; only its configuration is read.
        streams: The norm of that model's residual stream by layer, with which directions are compared. The default is
            what the report beside the adapter says, if there is one.

    Raises:
        OSError: If a file cannot be found.
        ValueError: If the adapter is no steering adapter, is broken, or does not fit the model.
    """
    name = os.fspath(adapter)
    if os.path.isdir(name):
        config_path, tensors_path = current_config_file(Path(name)), Path(name, TENSORS_NAME)
        if config_path.exists() and read_config(config_path) is not None:
            check_folder(Path(name))
    elif name.count("/") != 1:
        raise FileNotFoundError(f"There is no folder {name!r}, and that is no id of a repository either (owner/name).")
    else:
        files = download_adapter(name)
        if files is None:
            raise ValueError(f"{name} on the Hub is no steering adapter.")
        config_path, tensors_path = files
    values = read_config(config_path)
    if values is None:
        raise ValueError(f"{config_path} is not the configuration of a steering adapter.")
    config = steering_config(values, config_path, SteeringAdapterConfig)
    tensors, values_of = _read_header(tensors_path)
    bounds = {key: value for key, value in values_of.items() if key.endswith(".steering_gate_bounds")}
    if streams is None:
        streams = _recorded_streams(tensors_path.with_name(REPORT_FILE))
    found = unusual(config, values_of, streams)
    if model is None:
        return Inspection(name, config, tensors, bounds, model=None, layers={}, unusual=found)
    base_config = AutoConfig.from_pretrained(model)
    with torch.device("meta"):
        base = model_class(base_config).from_config(base_config)
    read = read_adapter(base, name)
    assert read is not None
    decoder = find_decoder(base)
    config = read[0].resolved(hidden_size=decoder.hidden_size, num_hidden_layers=len(decoder.layers))
    layout = adapter_layout(decoder.names, decoder.hidden_size, config)
    layers = {tensor.layer: decoder.names[tensor.layer] for tensor in layout}
    return Inspection(name, config, tensors, bounds, model=type(base).__name__, layers=layers, unusual=found)


def _recorded_streams(report: Path) -> dict[int, float]:
    """The norm of the residual stream by layer, as the report beside an adapter has it; empty without one."""
    try:
        recorded = json.loads(read_regular(report, CONFIG_LIMIT).decode("utf-8"))["direction_norms"]
        return {int(layer): float(norm) for layer, norm in recorded.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _read_header(path: Path) -> tuple[list[StoredTensor], dict[str, Tensor]]:
    """What the file's header says of its tensors, and the directions and the gates' bounds themselves."""
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: an adapter is kept in safetensors, no pickle is opened.")
    with opened_tensors(path) as file:
        names = sorted(file.keys(), key=_by_number)
        tensors = []
        for name in names:
            stored = file.get_slice(name)
            tensors.append(_stored(name, tuple(stored.get_shape()), stored.get_dtype()))
        read = [name for name in names if name.endswith((".steering_gate_bounds", ".steering_direction"))]
        values = {name: file.get_tensor(name).float() for name in read}
    for name, value in values.items():
        shape = tuple(value.shape)
        if name.endswith("bounds") and (
            len(shape) != 3 or shape[0] != len(_MODALITIES) or shape[2] != 2 or not shape[1]
        ):
            raise ValueError(f"{path}: {name!r} must have shape (2, k, 2), got {shape}.")
        if name.endswith("direction") and (len(shape) != 2 or 0 in shape or not name.split(".")[-2].isdecimal()):
            raise ValueError(f"{path}: {name!r} must have shape (k, d) and name a layer, got {shape}.")
    return tensors, values


def _stored(name: str, shape: tuple[int, ...], dtype: str) -> StoredTensor:
    # safetensors names a dtype by its kind and its bits, as F32 and F8_E4M3; BOOL takes a byte.
    bits = re.search(r"\d+", dtype)
    return StoredTensor(name, shape, dtype, math.prod(shape) * (int(bits[0]) if bits else 8) // 8)


def _by_number(name: str) -> list[tuple[bool, int, str]]:
    """Sorts layer 10 behind layer 9."""
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in name.split(".")]

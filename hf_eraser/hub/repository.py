"""An adapter's files, in a folder or on the Hub: checked against the model, and read."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor
from transformers import PreTrainedModel

from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import read_config
from ..tuner.decoder import find_decoder
from ..tuner.layout import adapter_layout
from .base_model import check_base
from .reading import no_tensors, read_files
from .validation import read_tensors, steering_config


def read_adapter(
    model: PreTrainedModel,
    name_or_path: str | os.PathLike[str],
    *,
    config: SteeringAdapterConfig | None = None,
    **arguments: Any,
) -> tuple[SteeringAdapterConfig, dict[str, Tensor]] | None:
    """
    Read a steering adapter for `model`. Nothing is attached, and no other file than the two that are needed is opened.

    Args:
        model: The base model.
        name_or_path: A folder, or an id on the Hub.
        config: Used in place of the repository's own.
        arguments: `subfolder`, and for the Hub `revision`, `token`, `cache_dir`, `local_files_only` and
            `force_download`; others and `None` are ignored.

    Returns:
        Configuration and tensors, by their names in the file, float32; `None` if there is no configuration, or that
        of another PEFT method.

    Raises:
        ValueError: If the adapter has no safetensors file, is broken, or was made for another model. The message names
            the file, what was found, and what would be right.
        OSError: If a file cannot be downloaded; an error of huggingface_hub's, which says why.
    """
    return read_files(
        name_or_path,
        lambda path, tensors: _read(model, path, tensors, config),
        methods=PEFT_TYPE_TO_CONFIG_MAPPING,
        **arguments,
    )


def _read(
    model: PreTrainedModel, path: Path, tensors_path: Path, config: SteeringAdapterConfig | None
) -> tuple[SteeringAdapterConfig, dict[str, Tensor]] | None:
    values = read_config(path, PEFT_TYPE_TO_CONFIG_MAPPING)
    if values is None:
        return None
    config = steering_config(values, path, SteeringAdapterConfig) if config is None else replace(config)
    try:
        check_base(config, model)
        decoder = find_decoder(model)
        layout = adapter_layout(decoder.names, decoder.hidden_size, config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not tensors_path.exists():
        raise ValueError(no_tensors(str(tensors_path.parent)))
    return config, read_tensors(tensors_path, layout, config.strength, model.base_model_prefix)

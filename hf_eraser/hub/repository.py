"""An adapter's files, in a folder or on the Hub: found, checked against the model, and read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from torch import Tensor
from transformers import PreTrainedModel

from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import read_config
from ..tuner.decoder import find_decoder
from ..tuner.tensors import SIZE_LIMIT, adapter_layout
from .base_model import check_base
from .validation import (
    CONFIG_NAME,
    HEADER_LIMIT,
    NEXT_CONFIG_NAME,
    TENSORS_NAME,
    current_config_file,
    read_tensors,
    steering_config,
)


# Of what loading functions take, what says which version of which file is meant.
DOWNLOAD_ARGUMENTS = ("subfolder", "revision", "token", "cache_dir", "local_files_only", "force_download")


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
    subfolder = arguments.get("subfolder") or ""
    hub = {name: arguments[name] for name in DOWNLOAD_ARGUMENTS[1:] if arguments.get(name) is not None}
    if not os.path.isdir(name_or_path):
        files = download_adapter(str(name_or_path), subfolder, **hub)
        return None if files is None else _read(model, *files, config)
    folder = Path(name_or_path, subfolder)
    while True:
        version = _version(folder)
        try:
            path = current_config_file(folder)
            read = _read(model, path, folder / TENSORS_NAME, config) if path.is_file() else None
        except (ValueError, OSError):
            if version == _version(folder):
                raise
        else:
            if version == _version(folder):
                return read


def _version(folder: Path) -> list[tuple[int, int] | None]:
    """Changes whenever a file of the adapter does."""
    found: list[tuple[int, int] | None] = []
    for name in (CONFIG_NAME, NEXT_CONFIG_NAME, TENSORS_NAME):
        try:
            stat = (folder / name).stat()
            found.append((stat.st_ino, stat.st_mtime_ns))
        except OSError:
            found.append(None)
    return found


def download_adapter(name: str, subfolder: str = "", **hub: Any) -> tuple[Path, Path] | None:
    """
    Download configuration and tensors of a steering adapter, both of one commit.

    Args:
        name: The id on the Hub.
        subfolder: Where in the repository it is.
        hub: Further `DOWNLOAD_ARGUMENTS`.

    Returns:
        Their paths in the cache; `None` if the name is no id, or the adapter of another PEFT method.

    Raises:
        ValueError: If there are no safetensors, or they are too large to be an adapter's.
        OSError: If a file cannot be downloaded; an error of huggingface_hub's, which says why.
    """
    where: dict[str, Any] = {"subfolder": subfolder or None, **hub}
    try:
        path = Path(hf_hub_download(name, CONFIG_NAME, **where))
    except HFValidationError:
        return None  # a folder that is not there: PEFT and transformers say so
    if read_config(path) is None:
        return None
    # In the cache a file's folder is named after the commit, from which the tensors are then taken too.
    where["revision"] = path.parents[len(Path(subfolder).parts)].name
    _refuse_large(name, where)
    try:
        tensors = Path(hf_hub_download(name, TENSORS_NAME, **where))
    except EntryNotFoundError as error:
        if isinstance(error, LocalEntryNotFoundError) and not path.with_name("adapter_model.bin").exists():
            raise  # the Hub could not be asked
        raise ValueError(_no_tensors(f"{name} on the Hub")) from error
    return path, tensors


def _read(
    model: PreTrainedModel, path: Path, tensors_path: Path, config: SteeringAdapterConfig | None
) -> tuple[SteeringAdapterConfig, dict[str, Tensor]] | None:
    values = read_config(path)
    if values is None:
        return None
    config = steering_config(values, path) if config is None else replace(config)
    try:
        check_base(config, model)
        layout = adapter_layout(find_decoder(model), config)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not tensors_path.is_file():
        raise ValueError(_no_tensors(str(tensors_path.parent)))
    return config, read_tensors(tensors_path, layout, config.strength)


def _no_tensors(where: str) -> str:
    return (
        f"{where} holds no {TENSORS_NAME}. Only that is read: a .bin or .pt file is a pickle, which can run any code "
        "when it is opened. Have the adapter saved again, by `save_pretrained`."
    )


def _refuse_large(name: str, where: Mapping[str, Any]) -> None:
    """Ask the Hub for the size of tensors that are still to be downloaded."""
    subfolder, revision = where["subfolder"], where["revision"]
    file = f"{subfolder}/{TENSORS_NAME}" if subfolder else TENSORS_NAME
    cached = try_to_load_from_cache(name, file, cache_dir=where.get("cache_dir"), revision=revision)
    if isinstance(cached, str) or where.get("local_files_only"):
        return
    try:
        url = hf_hub_url(name, TENSORS_NAME, subfolder=subfolder, revision=revision)
        size = get_hf_file_metadata(url, token=where.get("token")).size
    except (HfHubHTTPError, OSError):
        return  # the download says what is wrong
    if size is not None and size > SIZE_LIMIT + HEADER_LIMIT:
        raise ValueError(
            f"{file} of {name} on the Hub has {size} bytes, at most {SIZE_LIMIT} are allowed. It was not downloaded."
        )

"""An adapter's two files, in a folder or on the Hub, found and downloaded without PEFT or transformers."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..tuner.config_file import read_config
from ..tuner.layout import SIZE_LIMIT
from .beside import check_folder, check_repository
from .validation import CONFIG_NAME, HEADER_LIMIT, TENSORS_NAME, current_config_file, recovery_files


# Of what loading functions take, what says which version of which file is meant.
DOWNLOAD_ARGUMENTS = ("subfolder", "revision", "token", "cache_dir", "local_files_only", "force_download")

Read = TypeVar("Read")


def read_files(
    name_or_path: str | os.PathLike[str],
    read: Callable[[Path, Path], Read],
    *,
    methods: Container[str] | None = None,
    **arguments: Any,
) -> Read | None:
    """
    What `read` makes of an adapter's configuration and tensors, both of one save or one commit.

    Args:
        name_or_path: A folder, or an id on the Hub.
        read: Is given the paths of both files. A folder that changed meanwhile is read again.
        methods: As for `read_config`.
        arguments: As for `read_adapter`.

    Returns:
        `None` if there is no configuration, or, on the Hub, that of another PEFT method.

    Raises:
        ValueError, OSError: What `read` and `download_adapter` raise.
    """
    subfolder = arguments.get("subfolder") or ""
    hub = {name: arguments[name] for name in DOWNLOAD_ARGUMENTS[1:] if arguments.get(name) is not None}
    if not os.path.isdir(name_or_path):
        files = download_adapter(str(name_or_path), subfolder, methods=methods, **hub)
        return None if files is None else read(*files)
    folder = Path(name_or_path, subfolder)
    while True:
        version = _version(folder)
        try:
            path = current_config_file(folder)
            result = read(path, folder / TENSORS_NAME) if path.exists() else None
            if result is not None:
                check_folder(folder)
        except (ValueError, OSError):
            if version == _version(folder):
                raise
        else:
            if version == _version(folder):
                return result


def _version(folder: Path) -> list[tuple[str, int, int]]:
    """Changes whenever a file of the adapter does."""
    found = []
    with suppress(OSError):  # there is no such folder
        for path in (folder / CONFIG_NAME, folder / TENSORS_NAME, *recovery_files(folder)):
            with suppress(OSError):
                stat = path.stat()
                found.append((path.name, stat.st_ino, stat.st_mtime_ns))
    return found


def download_adapter(
    name: str, subfolder: str = "", *, methods: Container[str] | None = None, **hub: Any
) -> tuple[Path, Path] | None:
    """
    Download configuration and tensors of a steering adapter, both of one commit.

    Args:
        name: The id on the Hub.
        subfolder: Where in the repository it is.
        methods: As for `read_config`.
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
    if read_config(path, methods) is None:
        return None
    # In the cache a file's folder is named after the commit, from which the tensors are then taken too.
    snapshot = path.parents[len(Path(subfolder).parts)]
    where["revision"] = snapshot.name
    check_repository(name, snapshot, subfolder, **hub)
    _refuse_large(name, where)
    try:
        tensors = Path(hf_hub_download(name, TENSORS_NAME, **where))
    except EntryNotFoundError as error:
        if isinstance(error, LocalEntryNotFoundError) and not path.with_name("adapter_model.bin").exists():
            raise  # the Hub could not be asked
        raise ValueError(no_tensors(f"{name} on the Hub")) from error
    return path, tensors


def no_tensors(where: str) -> str:
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

"""What may be beside an adapter: nothing that a library would load from there in place of the base model."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

from huggingface_hub import HfApi

from ..tuner.printable import printable
from .adapter_folder import EVALUATION_FILE, REPORT_FILE
from .validation import CONFIG_NAME, TENSORS_NAME, is_recovery_name


# How long the Hub may take to say what a repository holds.
_SECONDS = 10.0

_logger = logging.getLogger("hf_eraser")

# What `save_pretrained`, `fit`, `eval` and the Hub's own tools leave; the last is a cut-off save's of older versions.
_OWN = {
    CONFIG_NAME,
    TENSORS_NAME,
    REPORT_FILE,
    EVALUATION_FILE,
    "generation_config.json",
    "adapter_config.next.json",
}

# Documents, tables and pictures: for people to read, and nothing that a model, a processor or code is loaded from.
# What has no suffix is of that kind too, such as LICENSE and .gitattributes.
_DOCUMENTS = {
    ".md",
    ".txt",
    ".rst",
    ".log",
    ".csv",
    ".tsv",
    ".jsonl",
    ".pdf",
    ".html",
    ".cff",
    ".bib",
    ".yaml",
    ".yml",
}
_DOCUMENTS |= {".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".part", ".lock", ".metadata", ""}


def check_beside(names: Iterable[str], where: str) -> None:
    """
    Check what is beside an adapter, in the same folder.

    transformers would load a model from a folder that holds an adapter and a `config.json`, in place of the base model
    that the adapter names; with `trust_remote_code=True` also code that is there; and a processor in any case.

    Args:
        names: The names of the files.
        where: What they are in, for the message.

    Raises:
        ValueError: If there is anything but documents.
    """
    names = set(names)
    # Without tensors there is nothing to load, which is said later, and why a pickle is not taken in their place.
    pickles = () if TENSORS_NAME in names else (".bin", ".pt", ".pth")
    loadable = sorted(
        name
        for name in names
        if name not in _OWN
        and not name.endswith(pickles)
        and not is_recovery_name(name)
        and PurePath(name).suffix.lower() not in _DOCUMENTS
    )
    if loadable:
        shown = ", ".join(printable(name) for name in loadable[:5]) + (", ..." if len(loadable) > 5 else "")
        raise ValueError(
            f"{printable(where)} holds a steering adapter, and beside {CONFIG_NAME} and {TENSORS_NAME} what may be "
            f"loaded in place of its base model, or as code: {shown}. So it is not loaded. An adapter is two files of "
            "data: load it from a folder or repository that holds no model, processor or code."
        )


def check_folder(folder: Path) -> None:
    """As `check_beside`, for a folder; what is in folders inside it is not loaded with it."""
    with os.scandir(folder) as entries:
        check_beside([entry.name for entry in entries if not entry.is_dir()], str(folder))


def check_repository(name: str, snapshot: Path, subfolder: str, **hub: Any) -> None:
    """
    As `check_beside`, for a commit on the Hub.

    Args:
        name: The repository's id.
        snapshot: The folder of the commit in the cache, whose name is the commit.
        subfolder: Where in the repository the adapter is.
        hub: `token` and `local_files_only`. Where the Hub cannot be asked, what is in the cache is looked at, from
            which all else would be loaded too.
    """
    names = {path.name for path in (snapshot / subfolder).iterdir() if not path.is_dir()}
    if not hub.get("local_files_only"):
        try:
            # Not `list_repo_tree`, which asks a Hub that fails again and again.
            info = HfApi(token=hub.get("token")).model_info(name, revision=snapshot.name, timeout=_SECONDS)
            paths = [PurePath(sibling.rfilename) for sibling in info.siblings or []]
            names |= {path.name for path in paths if path.parent == PurePath(subfolder)}
        except Exception:
            pass
    check_beside(names, f"{name} on the Hub")


def tell_base(adapter: object, base: str | None) -> None:
    """Say which base model is going to be loaded because an adapter names it."""
    _logger.warning(
        "Loading the base model %s, which the steering adapter %s names.", printable(base), printable(adapter)
    )

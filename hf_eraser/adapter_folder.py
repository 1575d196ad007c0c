"""The folder of an adapter: what a fit saves there, and what must not be published with it."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from .card import EVALUATION_FILE, PICTURE_FILE, REPORT_FILE
from .checks import CONFIG_NAME, TENSORS_NAME
from .fitting import FitReport
from .inspection import inspect_adapter
from .saving import saved_whole


# Nothing else is published: a picture or a text beside the adapter may be one of those that are to be forgotten.
_PUBLISHED = {
    CONFIG_NAME,
    TENSORS_NAME,
    REPORT_FILE,
    PICTURE_FILE,
    EVALUATION_FILE,
    "README.md",
    ".gitattributes",
    "generation_config.json",  # transformers' `save_pretrained` writes it beside an adapter
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
}

_PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}


def check_adapter_folder(folder: str | os.PathLike[str]) -> list[str]:
    """
    Check that a folder holds a steering adapter and nothing that should not be published.

    Returns:
        The names of its files.

    Raises:
        FileNotFoundError: If it is no adapter's folder.
        ValueError: If the adapter is broken, or the folder holds anything else than an adapter's files.
    """
    folder = Path(folder)
    for name in (CONFIG_NAME, TENSORS_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: it is not the folder of an adapter.")
    strays = {path for path in folder.iterdir() if path.name not in _PUBLISHED or not path.is_file()}
    if pickles := sorted(path.name for path in strays if path.suffix.lower() in _PICKLES):
        raise ValueError(f"{folder} holds {pickles}: a pickle runs code when it is opened, and is not published.")
    if strays:
        raise ValueError(
            f"{folder} holds {sorted(path.name for path in strays)}, which are no files of an adapter and may tell "
            f"what is to be forgotten. Move them elsewhere; what is published is {sorted(_PUBLISHED)}."
        )
    tensors = inspect_adapter(folder).tensors
    if foreign := [tensor.name for tensor in tensors if ".steering_" not in tensor.name]:
        raise ValueError(f"{folder / TENSORS_NAME} holds tensors that are no steering adapter's: {foreign}.")
    return sorted(path.name for path in folder.iterdir())


def check_output_folder(folder: str | os.PathLike[str], *, overwrite: bool) -> None:
    """
    Check that an adapter can be saved to a folder, before the work that makes it.

    Raises:
        FileExistsError: If it holds an adapter and that is not to be replaced; or files that are not of an adapter.
        PermissionError: If it cannot be written to.
    """
    folder = Path(folder).absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        raise PermissionError(f"{nearest} cannot be written to.")
    if (folder / CONFIG_NAME).is_file():
        if not overwrite:
            raise FileExistsError(f"{folder} holds an adapter already. Replace it with --overwrite.")
    elif nearest == folder and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds files, and no adapter: it is left as it is. Choose another folder.")


def save_fit(model: Any, report: FitReport, folder: str | os.PathLike[str]) -> None:
    """
    Save a fitted adapter with its report, as JSON and as a picture if matplotlib is installed.

    Warns:
        UserWarning: If there is no picture, or card and evaluation of an adapter that was replaced are left.
    """
    with saved_whole(folder) as staging:
        model.save_pretrained(staging)
        report.to_json(staging / REPORT_FILE)
        try:
            report.plot().savefig(staging / PICTURE_FILE)
        except ImportError as error:
            warnings.warn(f"The report is saved without its picture. {error}", stacklevel=2)
    if stale := [name for name in ("README.md", EVALUATION_FILE) if Path(folder, name).exists()]:
        warnings.warn(f"{folder} still holds {stale} of the adapter that was replaced.", stacklevel=2)

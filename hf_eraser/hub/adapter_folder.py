"""The folder of an adapter: the names of what is beside it, and whether one can be saved there."""

from __future__ import annotations

import os
from pathlib import Path

from .validation import CONFIG_NAME


REPORT_FILE, PICTURE_FILE, EVALUATION_FILE = "report.json", "report.png", "evaluation.json"


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

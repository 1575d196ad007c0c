"""The folder of an adapter: which files it may hold, and what must not be published with it."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from pathlib import Path

from huggingface_hub import CommitInfo
from huggingface_hub.utils import validate_repo_id

from .inspection import inspect_adapter
from .publishing import CARD_NAME, publish
from .validation import CONFIG_NAME, TENSORS_NAME


REPORT_FILE, PICTURE_FILE, EVALUATION_FILE = "report.json", "report.png", "evaluation.json"

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


def push_adapter_folder(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    commit_message: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """
    Upload the folder of a saved adapter in one commit, with its card: the repository gets all of it or nothing.

    Args:
        folder: The folder; see `check_adapter_folder` for what it may hold.
        repo_id, commit_message, private, token, revision, create_pr: As for `push_adapter`.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: If it is no adapter's folder.
        ValueError: If it holds what is not published, or the adapter is broken; if `private` is asked for and the
            repository is public.
        huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
    """
    validate_repo_id(repo_id)
    files = check_adapter_folder(folder)
    if CARD_NAME not in files:
        warnings.warn(
            f"{folder} has no {CARD_NAME}: unless the repository has one, the card that is published does not tell "
            "what the adapter forgets.",
            stacklevel=2,
        )
    with tempfile.TemporaryDirectory() as name:
        for file in files:
            shutil.copyfile(Path(folder, file), Path(name, file))
        return publish(
            Path(name),
            repo_id,
            commit_message=commit_message,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
        )

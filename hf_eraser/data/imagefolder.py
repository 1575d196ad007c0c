"""Example sets in the Hub's imagefolder layout, from a folder or from a dataset repository on the Hub."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.utils import validate_repo_id


# The sub-folders, which are the arguments of `fit`; the last two may be missing.
SPLITS = ("forget", "retain", "recall", "refusal")

_REQUIRED = ("forget", "retain")

_KEYS = {"file_name", "prompt", "group", "wording", "concept", "answer"}


def read_imagefolder(source: str | Path) -> dict[str, list[dict[str, Any]]]:
    """
    Read the example sets of a folder, or of a dataset on the Hub.

    The layout is the Hub's imagefolder, one sub-folder a set: `forget/` and `retain/`, and `recall/` and `refusal/` if
    wanted. In each, `metadata.jsonl` has one JSON object a line: `prompt`, and optionally `file_name` (the picture's
    path from that sub-folder; without it the example is text only), `group`, `wording`, `concept` and `answer`.
    Pictures are not opened here.

    Args:
        source: A folder; if there is none of that name, the id of a dataset repository, which is downloaded.

    Returns:
        The sets by name, each a list of examples as `hf_eraser.fit` takes them: `fit(model, processor, **sets)`.

    Raises:
        FileNotFoundError: If there is no such folder and the name is no repository's; if a set or picture is missing.
        ValueError: If a line is not of that form, or its picture outside of the folder. File and line are named.
        huggingface_hub.errors.HfHubHTTPError: If the repository cannot be read.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _download(str(source))
    for split in _REQUIRED:
        if not (folder / split / "metadata.jsonl").is_file():
            raise FileNotFoundError(
                f"{str(source)!r} has no {split}/metadata.jsonl: examples are in sub-folders forget/ and retain/, "
                "each with its pictures and a metadata.jsonl that has a line for each example."
            )
    return {split: _read_split(folder / split) for split in SPLITS if (folder / split / "metadata.jsonl").is_file()}


def _download(repo_id: str) -> Path:
    missing = f"There is no folder {repo_id!r}, and that is no id of a dataset on the Hub either (owner/name)."
    if repo_id.count("/") != 1 or Path(repo_id).exists():
        raise FileNotFoundError(missing)
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise FileNotFoundError(missing) from error
    return Path(snapshot_download(repo_id, repo_type="dataset", allow_patterns=[f"{split}/*" for split in SPLITS]))


def _read_split(folder: Path) -> list[dict[str, Any]]:
    path = folder / "metadata.jsonl"
    # Not `splitlines`, which also splits at characters that a JSON text may hold as they are.
    lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    examples = [_read_line(line, folder, f"{path}:{n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not examples:
        raise ValueError(f"{path} is empty: at least one example is needed.")
    return examples


def _read_line(line: bytes, folder: Path, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {error}") from error
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be a JSON object such as {{'prompt': '...'}}, got {type(entry).__name__}.")
    if unknown := sorted(entry.keys() - _KEYS):
        raise ValueError(f"{where} has unknown keys {unknown}; the keys of an example are {sorted(_KEYS)}.")
    entry = {key: value for key, value in entry.items() if value is not None}
    if not isinstance(entry.get("prompt"), str) or not entry["prompt"].strip():
        raise ValueError(f"{where}: 'prompt' must be a text that is not empty, got {entry.get('prompt')!r}.")
    for key in entry.keys() & {"group", "wording", "concept"}:
        # A bool is an int; a float need not equal itself after it was written and read.
        if not isinstance(entry[key], (str, int)) or isinstance(entry[key], bool):
            raise ValueError(f"{where}: {key!r} must be a text or a whole number, got {entry[key]!r}.")
    if not isinstance(entry.get("answer", ""), str):
        raise ValueError(f"{where}: 'answer' must be a text, got {entry['answer']!r}.")
    if "file_name" in entry:
        entry["image"] = _picture(entry.pop("file_name"), folder, where)
    return entry


def _picture(file_name: object, folder: Path, where: str) -> Path:
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        raise ValueError(f"{where}: 'file_name' must be the path of a picture, got {file_name!r}.")
    # By its text and not by where it leads: in the Hub's cache, files are links to outside of their folder.
    outside = PurePosixPath(file_name).is_absolute() or PureWindowsPath(file_name).anchor
    if outside or ".." in PureWindowsPath(file_name).parts:
        raise ValueError(f"{where}: 'file_name' must be a picture inside {folder}, got {file_name!r}.")
    if not (folder / file_name).is_file():
        raise FileNotFoundError(f"{where}: there is no picture {file_name!r} in {folder}.")
    return folder / file_name

"""Example sets written out, in the layout that is read again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..data.pictures import look_at, open_image, picture_of


def write_sets(folder: str | Path, sets: Mapping[str, Iterable[Mapping[str, Any]]]) -> Path:
    """
    Write example sets as an imagefolder, which `read_imagefolder` and `hf-eraser fit` read.

    Each picture is written once, under the name of its group; a file that has only to be copied is copied.

    Args:
        folder: A folder that is not there yet, or empty.
        sets: Examples with `prompt`, `image` and the keys that tell them apart, by the set's name.

    Returns:
        The folder.

    Raises:
        FileExistsError: If the folder holds anything.
        ValueError: If a picture cannot be read.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} holds files already: it is left as it is. Choose another folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        for split, examples in sets.items():
            _write_split(Path(unfinished, "sets", split), examples)
        os.replace(Path(unfinished, "sets"), folder)
    return folder


def _write_split(folder: Path, examples: Iterable[Mapping[str, Any]]) -> None:
    (folder / "pictures").mkdir(parents=True)
    names: dict[Any, str] = {}
    lines = []
    for example in examples:
        entry = {key: value for key, value in example.items() if key != "image"}
        if example.get("image") is not None:
            picture = picture_of(example["image"])
            key = picture if isinstance(picture, Path) else look_at(picture).digest
            if key not in names:
                names[key] = _write_picture(picture, folder, f"pictures/{len(names):04}")
            entry = {"file_name": names[key], **entry}
        lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
    (folder / "metadata.jsonl").write_bytes("".join(lines).encode())


def _write_picture(picture: Any, folder: Path, name: str) -> str:
    if isinstance(picture, Path):
        name += picture.suffix.lower()
        shutil.copyfile(picture, folder / name)
    else:
        name += ".png"
        open_image(picture).save(folder / name)
    return name

"""Saving so that a folder holds the old adapter or the new one, whole, at whatever moment the process ends."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .validation import CONFIG_NAME, DIGEST_KEY, NEXT_CONFIG_NAME, TENSORS_NAME, current_config_file


_STAGING_PREFIX = ".saving-"

_CARD_NAME = "README.md"


@contextmanager
def saved_whole(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Gives a folder to save to. When the block ends without an error, what was saved there is moved to `folder`.

    Two files make an adapter, and no file system exchanges two files at once. So the tensors carry the digest of their
    configuration, and the moves, each of which is atomic, come in this order: the new configuration under a name of
    its own; the tensors; the configuration to its place. After the first move the old adapter is still there; after
    the second `current_config_file` finds, by the digest, that the new configuration is the one that belongs to
    the tensors. Files other than these two come first, one by one. A folder with several adapters, each in a subfolder
    of its own, keeps each of them whole.

    Every file is flushed to the disk before it is moved. A full disk leaves `folder` as it was. What a killed save
    leaves behind, the next one takes away; two processes must not save to one folder at once.

    Args:
        folder: Where to save to; created if it is not there.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for left in target.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    # Inside the folder: a move is atomic only within one file system.
    staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=target))
    try:
        if (target / _CARD_NAME).is_file():
            shutil.copyfile(target / _CARD_NAME, staging / _CARD_NAME)  # PEFT updates a card that is there
        yield staging
        for source in [staging, *(path for path in sorted(staging.rglob("*")) if path.is_dir())]:
            _move(source, target / source.relative_to(staging))
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8: at whatever moment the process ends, `path` holds what it held before, or `text`."""
    path = Path(path)
    written = path.with_name(f"{_STAGING_PREFIX}{path.name}")
    try:
        written.write_text(text, encoding="utf-8")
        _flush(written)
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
    _flush(path.parent)


def _move(source: Path, target: Path) -> None:
    """Move the files of one folder; an adapter's two last."""
    target.mkdir(exist_ok=True)
    config, tensors = source / CONFIG_NAME, source / TENSORS_NAME
    whole = config.is_file() and tensors.is_file()
    if whole:
        _add_digest(tensors, hashlib.sha256(config.read_bytes()).hexdigest())
    files = [path for path in sorted(source.iterdir()) if path.is_file()]
    for path in files:
        _flush(path)
    for path in files:
        if not whole or path not in (config, tensors):
            os.replace(path, target / path.name)
    if whole:
        if current_config_file(target).name == NEXT_CONFIG_NAME:
            # A save was cut off before its last move. Without that, the first move of this one would part them.
            os.replace(target / NEXT_CONFIG_NAME, target / CONFIG_NAME)
            _flush(target)
        for file, place in (
            (config, target / NEXT_CONFIG_NAME),
            (tensors, target / TENSORS_NAME),
            (target / NEXT_CONFIG_NAME, target / CONFIG_NAME),
        ):
            os.replace(file, place)
            _flush(target)


def _add_digest(path: Path, digest: str) -> None:
    """Add the digest to a safetensors file's metadata. safetensors itself writes several entries in any order."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = {**header.get("__metadata__", {}), DIGEST_KEY: digest}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[end:])


def _flush(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

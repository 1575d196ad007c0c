"""Saving so that a folder holds the old adapter or the new one, whole, at whatever moment the process ends."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from .validation import (
    CONFIG_NAME,
    DIGEST_KEY,
    TENSORS_NAME,
    current_config_file,
    is_own,
    recovery_files,
    recovery_name,
)


_CARD_NAME = "README.md"


@contextmanager
def saved_whole(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """
    Gives a folder to save to. When the block ends without an error, what was saved there is moved to `folder`.

    Two files make an adapter, and no file system exchanges two files at once. So the tensors carry the digest of their
    configuration, and the moves, each of which is atomic, come in this order: the new configuration under a name of
    its own (`recovery_name`); the tensors; the configuration to its place. After the first move the old adapter is
    still there; after the second `current_config_file` finds, by the digest, that the new configuration is the one
    that belongs to the tensors. Files other than these two come first, one by one. A folder with several adapters,
    each in a subfolder of its own, keeps each of them whole.

    Every file is flushed to the disk before it is moved. A full disk leaves `folder` as it was. What a killed save
    leaves behind, the next one takes away; two processes must not save to one folder at once.

    Args:
        folder: Where to save to; created if it is not there.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with staging_folder(target) as staging:
        if (target / _CARD_NAME).is_file():
            shutil.copyfile(target / _CARD_NAME, staging / _CARD_NAME)  # PEFT updates a card that is there
        try:
            yield staging
        except SafetensorError as error:  # which safetensors makes of a full disk, for one
            raise OSError(errno.EIO, f"The adapter could not be saved: {error}", str(target)) from error
        except OSError as error:
            if error.errno is None or error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(target)) from error
        for source in [staging, *(path for path in sorted(staging.rglob("*")) if path.is_dir())]:
            _move(source, target / source.relative_to(staging))


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """A folder inside `folder`, since a move is atomic only within one file system; gone afterwards."""
    _take_away_leftovers(folder)
    staging = folder / _staging_name()
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging_name() -> str:
    """A name that tells by itself that a save gave it: its second half follows from its first."""
    return _named(secrets.token_hex(8))


def _named(token: str) -> str:
    return f".saving-{token}{hashlib.sha256(f'hf_eraser {token}'.encode()).hexdigest()[:16]}"


def _take_away_leftovers(folder: Path) -> None:
    """What killed saves left; a file or folder that anybody else called `.saving-...` is not of them."""
    for name in os.listdir(folder):
        if name.startswith(".saving-") and name == _named(name[len(".saving-") :][:16]):
            if (folder / name).is_dir():
                shutil.rmtree(folder / name, ignore_errors=True)
            else:  # of `write_whole`
                (folder / name).unlink(missing_ok=True)


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in UTF-8: at whatever moment the process ends, `path` holds what it held before, or `text`."""
    path = Path(path)
    written = path.with_name(_staging_name())
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
        add_digest(tensors, hashlib.sha256(config.read_bytes()).hexdigest())
    files = [path for path in sorted(source.iterdir()) if path.is_file()]
    for path in files:
        _flush(path)
    for path in files:
        if not whole or path not in (config, tensors):
            os.replace(path, target / path.name)
    if whole:
        _end_cut_off_save(target)
        following = target / recovery_name(config)
        for file, place in (
            (config, following),
            (tensors, target / TENSORS_NAME),
            (following, target / CONFIG_NAME),
        ):
            os.replace(file, place)
            _flush(target)


def _end_cut_off_save(target: Path) -> None:
    """Make the last move of a save that was cut off before it; what one left that got less far is taken away."""
    with suppress(ValueError):  # of what this user did not save: all of it is replaced
        if (current := current_config_file(target)).name != CONFIG_NAME:
            os.replace(current, target / CONFIG_NAME)
            _flush(target)
    for left in recovery_files(target):
        if is_own(left):
            left.unlink()


def add_digest(path: Path, digest: str) -> None:
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

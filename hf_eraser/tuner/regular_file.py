"""Files of an adapter, opened only if they are regular: a pipe would be waited for, and a device never ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_regular(path: Path) -> BinaryIO:
    """
    Open a file for reading, if it or what it links to is a regular one. Nothing is waited for.

    Raises:
        ValueError: If it is not. The message names the file and what it is.
        OSError: If it cannot be opened.
    """
    _check(path, path.stat())  # first, because some devices act on being opened
    # Should it have become a pipe since: opening that without this flag waits for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _check(path, os.fstat(file.fileno()))
    except ValueError:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """
    All of a regular file of at most `limit` bytes; no more is read than it had when it was opened.

    Raises:
        ValueError: If it is no regular file, or larger. The message names the file.
        OSError: If it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise ValueError(f"{path} has {size} bytes; at most {limit} are allowed.")
        return file.read(size)


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise ValueError(f"{path} is {kind}: an adapter's files must be regular files, no other is opened.")

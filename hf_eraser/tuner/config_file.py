"""An adapter's configuration file, read as data: no key twice, no number that is none, no more than 1 MiB."""

from __future__ import annotations

import json
import mmap
import os
import re
import reprlib
from collections.abc import Container
from pathlib import Path
from typing import Any

from .regular_file import open_regular


# In bytes; a configuration of ours has one or two kilobytes.
CONFIG_LIMIT = 1 << 20

# Of another method's configuration, which is looked through for the name of ours.
_SEARCH_LIMIT = 1 << 26

BRIEF = reprlib.Repr()
BRIEF.maxstring = 120


def read_config(path: Path, methods: Container[str] | None = None) -> dict[str, Any] | None:
    """
    What is in an adapter's configuration file; `None` if it is the configuration of another PEFT method.

    Args:
        path: The file.
        methods: The other methods that there are, where that is known.

    Raises:
        ValueError: If the file is no regular file, larger than 64 MiB, or no JSON object in UTF-8 with the name of a
            method in `peft_type`; or if it is a steering adapter's, and larger than 1 MiB, or holds a key twice, or a
            number that is none.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _SEARCH_LIMIT:
            raise ValueError(f"{path} has {size} bytes: no configuration of an adapter is so large.")
        if size > CONFIG_LIMIT:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                # In JSON, letters may be escaped; nobody does so but to hide them.
                if not re.search(rb'"STEERING"|\\u00[45]', content):
                    return None
                raise ValueError(f"{path} has {len(content)} bytes; a configuration has at most {CONFIG_LIMIT}.")
        data = file.read(size)
    faults: list[str] = []

    def without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, value in pairs:
            if key in values:
                faults.append(f"holds {BRIEF.repr(key)} twice")
            values[key] = value
        return values

    def no_number(text: str) -> float:
        faults.append(f"holds {text}, which is no JSON number")
        return float(text)

    try:
        values = json.loads(data.decode("utf-8"), object_pairs_hook=without_duplicates, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must hold a JSON object in UTF-8, and cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a JSON object, got {BRIEF.repr(values)}.")
    kind = values.get("peft_type")
    if not isinstance(kind, str) or not kind or (kind.upper() == "STEERING" and kind != "STEERING"):
        raise ValueError(
            f"{path}: `peft_type` must say which method the adapter is of, a steering adapter's is 'STEERING'; got "
            f"{BRIEF.repr(kind)}."
        )
    if kind != "STEERING":
        if methods is not None and kind not in methods:
            raise ValueError(f"{path}: `peft_type` names {BRIEF.repr(kind)}, a method that PEFT does not know.")
        return None
    if faults:
        raise ValueError(f"{path} {faults[0]}. Have it written by `save_pretrained` again.")
    return values

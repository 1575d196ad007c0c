"""An adapter's configuration file, read as data: no key twice, no number that is none, no more than 1 MiB."""

from __future__ import annotations

import json
import mmap
import os
import re
import reprlib
from pathlib import Path
from typing import Any


# In bytes; a configuration of ours has one or two kilobytes.
CONFIG_LIMIT = 1 << 20

BRIEF = reprlib.Repr()
BRIEF.maxstring = 120


def read_config(path: Path) -> dict[str, Any] | None:
    """
    What is in an adapter's configuration file; `None` if it is the configuration of another PEFT method.

    Raises:
        ValueError: If the file is no JSON object in UTF-8; or if it is a steering adapter's, and larger than 1 MiB, or
            holds a key twice, or a number that is none.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > CONFIG_LIMIT:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                # In JSON, letters may be escaped; nobody does so but to hide them.
                if not re.search(rb'"STEERING"|\\u00[45]', content):
                    return None
                raise ValueError(f"{path} has {len(content)} bytes; a configuration has at most {CONFIG_LIMIT}.")
        data = file.read()
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
    if values.get("peft_type") != "STEERING":
        return None
    if faults:
        raise ValueError(f"{path} {faults[0]}. Have it written by `save_pretrained` again.")
    return values

"""Writes example sets in the layout that `read_imagefolder` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_imagefolder(folder: Path, sets: Mapping[str, Sequence[Mapping[str, Any]]]) -> Path:
    """Write sets of examples, whose images are PIL images, as an imagefolder; returns the folder."""
    for split, examples in sets.items():
        (folder / split / "pictures").mkdir(parents=True)
        lines = []
        for i, example in enumerate(examples):
            entry = dict(example)
            image = entry.pop("image", None)
            if image is not None:
                entry["file_name"] = f"pictures/{i}.png"
                image.save(folder / split / entry["file_name"])
            lines.append(json.dumps(entry, ensure_ascii=False) + "\n")
        (folder / split / "metadata.jsonl").write_bytes("".join(lines).encode())
    return folder

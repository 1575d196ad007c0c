"""Long experiments in parts: each is kept in the user's cache when it is done, and processes can share them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from filelock import FileLock, Timeout

from examples.small.load import user_cache
from hf_eraser.hub.saving import write_whole

from .result import FOLDER


def in_parts(
    experiment: str,
    model_name: str,
    configuration: Mapping[str, Any],
    parts: Sequence[Any],
    measure: Callable[[Any], dict[str, Any]],
) -> list[dict[str, Any]]:
    """
    Measure each part that is not in the cache yet, and give all.

    Args:
        experiment, model_name, configuration: What is measured; parts of another version of the sources, of the
            configuration or of the libraries are not taken.
        parts: What `measure` takes, one after the other.
        measure: Gives the figures of one.
    """
    cache = user_cache("parts", "HF_ERASER_PARTS_CACHE") / f"{experiment}-{model_name}-{_digest(configuration)}"
    cache.mkdir(parents=True, exist_ok=True)
    files = [cache / f"{i}.json" for i in range(len(parts))]
    for timeout in (0, -1):  # first what no other process is at, then wait for those
        for part, file in zip(parts, files):
            try:
                with FileLock(f"{file}.lock", timeout=timeout):
                    if not file.exists():
                        write_whole(file, json.dumps(measure(part)))
            except Timeout:
                continue
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def _digest(configuration: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode())
    for folder in ("hf_eraser", "benchmarks", "examples"):
        for source in sorted((FOLDER.parent / folder).rglob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]

"""Which commit on the Hub a model was loaded from; private to transformers, written against 5.23.0."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from transformers import PreTrainedModel
from transformers.utils import extract_commit_hash


def with_commit_noted(load_pretrained_model: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers (since 5.18) forgets the commit that it loaded a model from. It is noted where earlier versions kept
    it, from the cached files that the weights come from.
    """
    signature = inspect.signature(load_pretrained_model)

    @functools.wraps(load_pretrained_model)
    def load(*args: Any, **kwargs: Any) -> Any:
        result = load_pretrained_model(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        files, model = given.get("checkpoint_files") or [], given.get("model")
        if files and model is not None and not os.path.basename(files[0]).startswith("adapter_"):
            model.config._commit_hash = extract_commit_hash(files[0], None)
        return result

    return load


def commit_of(model: PreTrainedModel) -> str | None:
    """The commit on the Hub that `model` was loaded from, where it can be known."""
    noted = getattr(model.config, "_commit_hash", None)
    name = model.name_or_path or "."
    if noted is not None or os.path.isdir(name):
        return noted
    # It was loaded before this package was imported. Where the cache holds one commit only, it was that one.
    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    snapshots = Path(cached).parents[1] if isinstance(cached, str) else None
    return extract_commit_hash(cached, None) if snapshots and len(list(snapshots.iterdir())) == 1 else None

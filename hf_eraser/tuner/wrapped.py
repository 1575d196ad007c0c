"""A model that may be inside of a `PeftModel`."""

from __future__ import annotations

from typing import Any


def base_of(model: Any) -> Any:
    """The transformers model itself, of a `PeftModel` the one that it wraps."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model

"""Something put around a method of a class that is not ours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def wrap(owner: type, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Put something around a method of a class, if the class itself has it, once."""
    method = vars(owner).get(name)
    if method is not None and not hasattr(method, "hf_eraser"):
        wrapped = functools.wraps(method)(around(method))
        wrapped.hf_eraser = True  # type: ignore[attr-defined]
        setattr(owner, name, wrapped)

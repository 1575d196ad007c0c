"""The one place that opens pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image


def open_image(image: Any) -> Image.Image:
    """
    The picture in RGB, read from a `PIL.Image.Image` or a path.

    Raises:
        OSError: If it cannot be read.
        TypeError: If it is neither.
    """
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, (str, Path)):
        with Image.open(image) as opened:
            return opened.convert("RGB")
    raise TypeError(f"must be a PIL image or a path, got {type(image).__name__}.")

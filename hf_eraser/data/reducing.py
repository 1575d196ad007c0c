"""Photos at the size at which a model sees them: what a picture costs follows that, and not the camera."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import jinja2
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from .encoding import encode
from .examples import Example
from .pictures import Look, Picture, ReducedPicture, open_image


# Pictures of fewer pixels are changed in no time.
_SMALL = 256 * 256

# So many times the pixels that the model sees are kept of a picture: reduced once more, it is as reduced at once.
_MARGIN = 2

# Reduced pictures up to so many bytes are held; further ones are opened again each time.
_MOST_HELD = 256 * 2**20


def at_processor_size(
    processor: ProcessorMixin | PreTrainedTokenizerBase, *sets: Iterable[Example]
) -> list[list[Example]]:
    """
    The same examples with each large picture brought nearer to the size at which the model sees it.

    How a processor cuts and scales is its own affair: a picture is reduced as far as a blank one of its size can be
    with as many tokens and pixels coming out as before.

    Args:
        processor: The model's processor.
        sets: Examples, as `read_examples` gives them.
    """
    if isinstance(processor, PreTrainedTokenizerBase):
        return [list(examples) for examples in sets]
    sizes: dict[tuple[int, int], tuple[int, int]] = {}
    found: dict[bytes, Picture] = {}
    held = 0

    def reduced(picture: Picture, look: Look) -> Picture:
        nonlocal held
        if look.digest not in found:
            if look.size not in sizes:
                sizes[look.size] = _smallest(processor, look.size)
            size = sizes[look.size]
            found[look.digest] = picture if size == look.size else ReducedPicture(picture, size)
            if size != look.size and held < _MOST_HELD:
                found[look.digest] = open_image(found[look.digest])
                held += 3 * math.prod(size)
        return found[look.digest]

    return [
        [
            example.with_images(map(reduced, example.images, example.looks)) if example.looks else example
            for example in of
        ]
        for of in sets
    ]


def _smallest(processor: ProcessorMixin, size: tuple[int, int]) -> tuple[int, int]:
    """The smallest size, by whole fractions, of which the model sees as much as of a picture of this one."""
    if math.prod(size) <= _SMALL:
        return size
    try:
        whole = _seen(processor, size)
    except (ValueError, jinja2.TemplateError):  # it takes no pictures, or none beside this text
        return size
    pixels = sum(math.prod(shape) for name, shapes in whole.items() if name == "pixel_values" for shape in shapes) / 3
    times = math.isqrt(int(math.prod(size) / (_MARGIN * max(pixels, 1))))
    while times > 1:
        smaller = max(size[0] // times, 1), max(size[1] // times, 1)
        if _seen(processor, smaller) == whole:
            return smaller
        times //= 2
    return size


def _seen(processor: ProcessorMixin, size: tuple[int, int]) -> dict[str, list[tuple[int, ...]]]:
    """The shapes of the model's inputs for a blank picture."""
    content = [{"type": "image", "image": Image.new("RGB", size)}, {"type": "text", "text": "?"}]
    blank = Example(({"role": "user", "content": content},), None, None, (), "", False)
    inputs = encode(processor, [blank], torch.device("cpu"))
    return {name: [tuple(t.shape) for t in _tensors(value)] for name, value in inputs.items()}


def _tensors(value: Any) -> Sequence[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for one in value for tensor in _tensors(one)] if isinstance(value, (list, tuple)) else []

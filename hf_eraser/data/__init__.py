"""Examples and pictures: read from what people have, checked, and turned into model inputs."""

from .encoding import batches, check_processor, encode
from .examples import Example, check_disjoint, read_examples
from .imagefolder import SPLITS, read_imagefolder
from .pictures import open_image


__all__ = [
    "SPLITS",
    "Example",
    "batches",
    "check_disjoint",
    "check_processor",
    "encode",
    "open_image",
    "read_examples",
    "read_imagefolder",
]

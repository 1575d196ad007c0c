"""What an adapter may be called, where PyTorch and PEFT make names of attributes, tensors and folders of it."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable

from .layout import TENSOR_KINDS
from .switching import Switch
from .tensors import SteeringTensors


_LONGEST = 100

# What PEFT calls the modules that it wraps others in, and looks for in the names of tensors.
_WRAPPERS = ("base_layer", "base_model", "modules_to_save", "original_module")


def check_adapter_name(name: object, layers: Iterable[str]) -> None:
    """
    Check an adapter's name.

    Args:
        name: The name.
        layers: The names of the decoder layers that it is attached to.

    Raises:
        ValueError: If a tensor, a module or a folder cannot have that name, or it means something else.
    """
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST or not name.isprintable():
        problem = f"must be a text of 1 to {_LONGEST} printable characters"
    elif any(sign in name for sign in "./\\"):
        problem = "must not hold '.', '/' or '\\', which part the names of tensors and folders"
    elif name == "__base__":
        problem = "means the base model, in `adapter_names`"
    elif hasattr(SteeringTensors(Switch()), name) or (name.startswith("__") and name.endswith("__")):
        problem = "is the name of an attribute that every module has"
    elif name in {
        *TENSOR_KINDS,
        *_WRAPPERS,
        *(part for layer in layers for part in layer.split(".") if not part.isdigit()),
    }:
        problem = "is part of the names of this model's parameters, by which its tensors are told from others"
    else:
        return
    raise ValueError(f"`adapter_name` {problem}, got {reprlib.repr(name)}. Choose another name, such as 'forget_ada'.")

"""Give a module another class in place: its attributes, parameter names and hooks stay as they are."""

from __future__ import annotations

import functools
import inspect
import types
from typing import Any

from torch import nn


@functools.cache
def retyped_class(mixin: type, original: type[nn.Module]) -> type[nn.Module]:
    """
    The class `(mixin, original)` under the name of `original`; one per pair.

    The name is kept because accelerate places layers, and transformers records their outputs, by it. `forward` keeps
    the original's signature, which `generate` inspects.
    """
    parameters = tuple(inspect.signature(original.forward).parameters)[1:]

    @functools.wraps(original.forward)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Not looked up on `self`, which another thread may have given its own class back since it was called.
        return mixin._steered_forward(self, functools.partial(original.forward, self), parameters, args, kwargs)  # type: ignore[attr-defined]

    def reduce(self: Any, protocol: int) -> tuple[Any, ...]:
        # Pickle looks a class up by its name, under which it would find the original.
        return _rebuild, (mixin, original), self.__getstate__() if hasattr(self, "__getstate__") else self.__dict__

    members = {
        "forward": forward,
        "__reduce_ex__": reduce,
        "__module__": original.__module__,
        "__qualname__": original.__qualname__,
        "__doc__": original.__doc__,
        "original_class": original,
    }
    return type(original)(original.__name__, (mixin, original), members)  # type: ignore[misc]


def _rebuild(mixin: type, original: type[nn.Module]) -> nn.Module:
    cls = retyped_class(mixin, original)  # type: ignore[arg-type]
    return cls.__new__(cls)


def retype(module: nn.Module, mixin: type) -> None:
    """
    Make `module` an instance of `mixin` as well as of its class.

    Raises:
        ValueError: If `forward` was replaced on the instance by something other than accelerate's hooks: the mixin
            could then not see the call.
    """
    own_forward = vars(module).get("forward")
    if getattr(own_forward, "__func__", None) is type(module).forward:
        del module.forward  # accelerate leaves the class's own behind when it takes its hooks back
    elif own_forward is not None and "_old_forward" not in vars(module):
        raise ValueError(
            f"The `forward` of this {type(module).__name__} was replaced on the instance (by `model.forward = "
            "torch.compile(model.forward)`, for example), so an adapter could not act. Attach the adapter first and "
            "replace `forward` afterwards."
        )
    _set_class(module, retyped_class(mixin, type(module)))  # type: ignore[arg-type]


def restore_type(module: nn.Module) -> None:
    """Give a retyped module its original class back."""
    _set_class(module, module.original_class)  # type: ignore[arg-type]


def _set_class(module: nn.Module, cls: type[nn.Module]) -> None:
    module.__class__ = cls
    # accelerate's hooks (device_map, offload) keep the bound `forward` of the class that the module had then.
    if "_old_forward" in vars(module):
        vars(module)["_old_forward"] = types.MethodType(cls.forward, module)

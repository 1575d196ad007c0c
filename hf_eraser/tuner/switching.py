"""Switching adapters while a model answers: calls run together, a switch waits for them and runs alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch

from .wrapped import base_of


@dataclass(frozen=True)
class Acting:
    """The steering adapters that act in a context in place of the active ones, at a multiple of their strength."""

    adapters: tuple[str, ...]
    strength: float = 1.0


# By model; a mapping that is in place is never changed.
_ACTING: ContextVar[dict[Switch, Acting]] = ContextVar("hf_eraser_acting", default={})  # noqa: B039

# The calls that this context is inside of, each with the thread that it runs in.
_CALLS: ContextVar[tuple[tuple[Switch, int], ...]] = ContextVar("hf_eraser_calls", default=())


class Switch:
    """
    Of one model, whose parts share it: which calls run, and which thread switches adapters.

    PEFT and transformers switch adapters layer by layer. A call that ran meanwhile would be steered by some layers and
    not by others. So a switch waits until the calls that run have ended, and those that come later wait for it: a
    whole `generate`, or a `forward` outside of one, sees the adapters that were active when it began.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls = 0
        self._waiting = 0
        self._thread: int | None = None
        self._depth = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Switch:
        return Switch()  # a copied model is switched by itself

    def __reduce__(self) -> tuple[type[Switch], tuple[()]]:
        return Switch, ()

    def call(self) -> AbstractContextManager[None]:
        """Inside, no other thread switches adapters. A compiled graph takes what it needs when it begins."""
        return nullcontext() if torch.compiler.is_compiling() else self._call()

    @contextmanager
    def _call(self) -> Iterator[None]:
        here = (self, threading.get_ident())
        if here in _CALLS.get() or self._thread == here[1]:
            yield
            return
        with self._changed:
            while self._thread is not None or self._waiting:
                self._changed.wait()
            self._calls += 1
        token = _CALLS.set((*_CALLS.get(), here))
        try:
            yield
        finally:
            _CALLS.reset(token)
            with self._changed:
                self._calls -= 1
                self._changed.notify_all()

    @contextmanager
    def switching(self) -> Iterator[None]:
        """
        Inside, no call runs.

        Raises:
            RuntimeError: If this is inside of a call, from a streamer or a hook, and others run: each would wait for
                the other.
        """
        me = threading.get_ident()
        own = int((self, me) in _CALLS.get())
        with self._changed:
            if self._thread != me:
                if own and self._calls > 1:
                    raise RuntimeError(
                        "Adapters cannot be switched from inside of a call of this model while other threads call it: "
                        "switch them before the call, or name them for it (`adapter_names`)."
                    )
                self._waiting += 1
                try:
                    while self._thread is not None or self._calls > own:
                        self._changed.wait()
                finally:
                    self._waiting -= 1
                    self._changed.notify_all()
                self._thread = me
            self._depth += 1
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1
                if not self._depth:
                    self._thread = None
                    self._changed.notify_all()

    @property
    def acting(self) -> Acting | None:
        """What acts in this context in place of the active adapters, if anything is said of it here."""
        return _ACTING.get().get(self)

    def set_acting(self, acting: Acting | None) -> None:
        """From here on in this context, that is, this thread; None for the active adapters."""
        others = {switch: value for switch, value in _ACTING.get().items() if switch is not self}
        _ACTING.set(others if acting is None else {**others, self: acting})

    @contextmanager
    def acting_inside(self, acting: Acting) -> Iterator[None]:
        """In this context, inside."""
        before = self.acting
        self.set_acting(acting)
        try:
            yield
        finally:
            self.set_acting(before)


def switch_of(model: Any) -> Switch | None:
    """The switch of a model, plain or a `PeftModel`; None while no steering adapter is attached."""
    base = base_of(model)
    return vars(base).get("steering_switch")


def switching(model: Any) -> AbstractContextManager[None]:
    """Inside, no call of the model runs. Before the first adapter is attached, calls are not waited for."""
    switch = switch_of(model)
    return nullcontext() if switch is None else switch.switching()

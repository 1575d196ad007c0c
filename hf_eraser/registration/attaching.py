"""Around transformers' attaching of adapters: what is missing is an error, and a failure is undone."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..tuner.model import check_tensors, expected_tensors
from ..tuner.steered_model import acting_adapters, attached_adapters, remove_adapter
from ..tuner.switching import switching


def undone_on_failure(attach: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers attaches an adapter before it reads its tensors, reports missing ones without an error, and stays with
    a half-attached adapter when it fails. Around it: steering tensors are checked, and a failure is undone.

    Around `add_adapter` too, which says that the model has adapters before it looks at what it is to add.
    """

    @functools.wraps(attach)
    def attach_or_leave(self: Any, *args: Any, keep_active: bool = False, **kwargs: Any) -> Any:
        # Calls of other threads see the adapter when it is whole, and active together with those that stay so.
        with switching(self):
            loaded = self._hf_peft_config_loaded and getattr(self, "peft_config", None)
            active = list(self.active_adapters()) if loaded else []
            try:
                result = attach_whole(self, active if keep_active else [], *args, **kwargs)
            except BaseException:
                if active:
                    self.set_adapter(active)
                raise
            if active and keep_active:
                self.set_adapter([*active, *self.active_adapters()])
        return result

    def attach_whole(self: Any, staying: list[str], *args: Any, **kwargs: Any) -> Any:
        had_adapters = self._hf_peft_config_loaded
        before, acting = set(attached_adapters(self)), acting_adapters(self)
        try:
            with _held_back_reports() as reports, _adapter_not_offloaded(self):
                result = attach(self, *args, **kwargs)
            new = set(attached_adapters(self)) - before
            for name in new:
                if attach.__name__ == "load_adapter":
                    _check_loaded(self, name, result)
                check_tensors(self, name, expected_tensors(self, name))
            if not new:
                _emit(reports)
            stopped = [name for name in acting if name not in (*acting_adapters(self), *staying)]
            if stopped and (attach.__name__ == "load_adapter" or not new):
                warnings.warn(
                    f"Steering adapters {stopped} were switched off by attaching another one, as transformers does: "
                    f"what they forget is answered again. `model.set_adapter({[*stopped, *self.active_adapters()]})` "
                    "lets all act; `keep_active=True` had let them act on.",
                    stacklevel=3,
                )
        except BaseException as error:
            new = set(attached_adapters(self)) - before
            for name in new:
                remove_adapter(self, name)
                getattr(self, "peft_config", {}).pop(name, None)
            if not had_adapters and not getattr(self, "peft_config", None):
                # `_hf_peft_config_loaded` is set before anything is checked.
                vars(self).pop("peft_config", None)
                self._hf_peft_config_loaded = False
            if not new:
                _emit(reports)  # to which the error refers
            elif isinstance(error, RuntimeError):
                raise ValueError(
                    f"The tensors of adapter {min(new)!r} do not fit this model or the adapter's own configuration: "
                    f"{' '.join(record.getMessage() for record in reports) or error}"
                ) from error
            raise
        return result

    return attach_or_leave


_report_logger = logging.getLogger("transformers.integrations.peft")


@contextmanager
def _held_back_reports() -> Iterator[list[logging.LogRecord]]:
    """
    transformers' report of a loaded adapter takes every parameter whose name contains the adapter's name, or that of
    its type, for one of the adapter's: it calls other adapters' tensors, and base weights, newly initialised. None of
    them was touched; what is really missing is an error here.
    """
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    _report_logger.addFilter(hold)
    try:
        yield held
    finally:
        _report_logger.removeFilter(hold)


def _emit(records: list[logging.LogRecord]) -> None:
    for record in records:
        _report_logger.handle(record)


@contextmanager
def _adapter_not_offloaded(model: Any) -> Iterator[None]:
    """
    transformers loads an adapter by the base model's device map, and tensors on an offloaded layer not at all. Inside,
    the map places what is offloaded on the CPU; of the base model nothing is loaded, and nothing moved. `forward`
    takes the few kilobytes of steering tensors from there, and finds those of a LoRA, which would stay random.
    """
    device_map = getattr(model, "hf_device_map", {"": model.device})
    offloaded = {name for name, device in device_map.items() if str(device) in ("disk", "meta")}
    if not offloaded:
        yield
        return
    own = {"hf_device_map": model.hf_device_map} if hasattr(model, "hf_device_map") else {}
    model.hf_device_map = {**device_map, **dict.fromkeys(offloaded, "cpu")}
    try:
        yield
    finally:
        del model.hf_device_map
        vars(model).update(own)


def _check_loaded(model: Any, adapter_name: str, info: Any) -> None:
    info.missing_keys &= expected_tensors(model, adapter_name).keys()
    if info.missing_keys or info.unexpected_keys:
        raise ValueError(
            f"The tensors of adapter {adapter_name!r} do not match its configuration: missing "
            f"{sorted(info.missing_keys) or 'none'}, unknown {sorted(info.unexpected_keys) or 'none'}."
        )

"""
Makes PEFT and transformers know the method `STEERING`.

The only module that touches private or version-dependent parts of the two; written against peft 0.21.2 and
transformers 5.23.0. Everything here is idempotent.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel, PeftType
from transformers.integrations import PeftAdapterMixin


def _peft_type_member(name: str) -> PeftType:
    """
    The member `name` of `PeftType`, added if it is not there.

    `register_peft_method` insists on a member, and PEFT (0.21) has no public way to add one. All three look-ups,
    `PeftType(name)`, `PeftType[name]` and `PeftType.name`, and pickling work on what is added.
    """
    if name in PeftType.__members__:
        return PeftType[name]
    member = str.__new__(PeftType, name)
    member._name_ = name
    member._value_ = name
    type.__setattr__(PeftType, name, member)
    PeftType._member_names_.append(name)
    PeftType._member_map_[name] = member
    PeftType._value2member_map_[name] = member
    return member


STEERING = _peft_type_member("STEERING")


def register() -> None:
    """Register the method with PEFT, and put right what loading and switching off lack in the two libraries."""
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import register_peft_method

    from .config import SteeringAdapterConfig
    from .model import SteeringModel

    if STEERING in PEFT_TYPE_TO_TUNER_MAPPING:
        return
    register_peft_method(
        name="steering", config_cls=SteeringAdapterConfig, model_cls=SteeringModel, prefix=SteeringModel.prefix
    )
    for name in ("add_adapter", "load_adapter"):
        setattr(PeftAdapterMixin, name, _undone_on_failure(getattr(PeftAdapterMixin, name)))
    setattr(PeftModel, "load_adapter", _named_default(PeftModel.load_adapter))  # noqa: B010
    setattr(PeftModel, "disable_adapter", _as_statement_too(PeftModel.disable_adapter))  # noqa: B010
    setattr(PeftModel, "push_to_hub", _with_own_card(PeftModel.push_to_hub))  # noqa: B010


def _undone_on_failure(attach: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers attaches an adapter before it reads its tensors, reports missing ones without an error, and stays with
    a half-attached adapter when it fails. Around it: steering tensors are checked, and a failure is undone.
    """

    @functools.wraps(attach)
    def attach_or_leave(self: Any, *args: Any, **kwargs: Any) -> Any:
        from .model import check_tensors, expected_tensors
        from .steered_model import attached_adapters, remove_adapter

        if attach.__name__ == "load_adapter":
            kwargs = _hub_arguments_in_place(kwargs)
        had_adapters = self._hf_peft_config_loaded
        before = set(attached_adapters(self))
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
        except BaseException as error:
            new = set(attached_adapters(self)) - before
            for name in new:
                remove_adapter(self, name)
                getattr(self, "peft_config", {}).pop(name, None)
            if not had_adapters and not getattr(self, "peft_config", None):
                # `_hf_peft_config_loaded` is set before anything is checked.
                vars(self).pop("peft_config", None)
                self._hf_peft_config_loaded = False
            if new and isinstance(error, RuntimeError):
                raise ValueError(
                    f"The tensors of adapter {min(new)!r} do not fit this model or the adapter's own configuration: "
                    f"{' '.join(record.getMessage() for record in reports) or error}"
                ) from error
            raise
        return result

    return attach_or_leave


_HUB_ARGUMENTS = ("cache_dir", "force_download", "revision", "subfolder", "token")


def _hub_arguments_in_place(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Since version 5, `load_adapter` of transformers takes these in `adapter_kwargs` only; PEFT's takes them as such."""
    given = {name: kwargs.pop(name) for name in _HUB_ARGUMENTS if name in kwargs}
    return {**kwargs, "adapter_kwargs": {**given, **(kwargs.get("adapter_kwargs") or {})}} if given else kwargs


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


@contextmanager
def _adapter_not_offloaded(model: Any) -> Iterator[None]:
    """
    transformers loads an adapter by the base model's device map, and tensors on an offloaded layer not at all, without
    a word. Inside, the map places the few kilobytes of steering tensors on the CPU, from where `forward` takes them.
    """
    from .decoder import find_decoder
    from .layer import TENSOR_KINDS

    device_map = getattr(model, "hf_device_map", {"": model.device})
    if not {"disk", "meta"} & {str(device) for device in device_map.values()}:
        yield
        return
    own = {"hf_device_map": model.hf_device_map} if hasattr(model, "hf_device_map") else {}
    names = find_decoder(model).names
    model.hf_device_map = {**device_map, **{f"{name}.{kind}": "cpu" for name in names for kind in TENSOR_KINDS}}
    try:
        yield
    finally:
        del model.hf_device_map
        vars(model).update(own)


def _emit(records: list[logging.LogRecord]) -> None:
    for record in records:
        _report_logger.handle(record)


def _check_loaded(model: Any, adapter_name: str, info: Any) -> None:
    from .model import expected_tensors

    info.missing_keys &= expected_tensors(model, adapter_name).keys()
    if info.missing_keys or info.unexpected_keys:
        raise ValueError(
            f"The tensors of adapter {adapter_name!r} do not match its configuration: missing "
            f"{sorted(info.missing_keys) or 'none'}, unknown {sorted(info.unexpected_keys) or 'none'}."
        )


def _named_default(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.load_adapter` insists on an adapter name; on a plain model it is "default" unless given."""

    @functools.wraps(load_adapter)
    def load(self: PeftModel, model_id: Any, adapter_name: str = "default", *args: Any, **kwargs: Any) -> Any:
        return load_adapter(self, model_id, adapter_name, *args, **kwargs)

    return load


def _as_statement_too(disable_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.disable_adapter()` called without `with` does nothing: the output would stay steered."""

    @functools.wraps(disable_adapter)
    def disable(self: PeftModel) -> Any:
        from .model import SteeringModel
        from .steered_model import DisabledAdapters

        if isinstance(self.base_model, SteeringModel):
            return DisabledAdapters(self)
        return disable_adapter(self)

    return disable


def _with_own_card(push_to_hub: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.push_to_hub` is transformers', which overwrites PEFT's card with that of a whole model."""

    @functools.wraps(push_to_hub)
    def push(self: PeftModel, repo_id: str, **kwargs: Any) -> Any:
        from .model import SteeringModel
        from .publish import push_adapter

        if isinstance(self.base_model, SteeringModel):
            return push_adapter(self, repo_id, **kwargs)
        return push_to_hub(self, repo_id, **kwargs)

    return push

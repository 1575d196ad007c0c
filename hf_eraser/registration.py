"""
Makes PEFT and transformers know the method `STEERING`.

The only module that touches private or version-dependent parts of the two; written against peft 0.21.2 and
transformers 5.23.0. Everything here is idempotent.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from huggingface_hub.errors import HFValidationError
from peft import PeftModel, PeftType
from torch import Tensor
from transformers import PreTrainedModel
from transformers.integrations import PeftAdapterMixin
from transformers.utils import extract_commit_hash


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
    import peft.peft_model as peft_model
    import transformers.integrations.peft as transformers_peft
    import transformers.models.auto.auto_factory as auto_factory
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.utils import register_peft_method

    from .config import SteeringAdapterConfig
    from .model import SteeringModel

    if STEERING in PEFT_TYPE_TO_TUNER_MAPPING:
        return
    register_peft_method(
        name="steering", config_cls=SteeringAdapterConfig, model_cls=SteeringModel, prefix=SteeringModel.prefix
    )
    PeftAdapterMixin.add_adapter = _undone_on_failure(PeftAdapterMixin.add_adapter)  # type: ignore[method-assign]
    PeftAdapterMixin.load_adapter = _undone_on_failure(  # type: ignore[method-assign]
        _read_by_us(PeftAdapterMixin.load_adapter)
    )
    PeftModel.load_adapter = _named_default_and_read_by_us(PeftModel.load_adapter)  # type: ignore[method-assign]
    PeftModel.from_pretrained = classmethod(  # type: ignore[method-assign,assignment]
        _wrapped_and_read_by_us(PeftModel.from_pretrained.__func__)  # type: ignore[attr-defined]
    )
    PeftModel.save_pretrained = _saved_whole(PeftModel.save_pretrained)  # type: ignore[method-assign]
    PeftModel.push_to_hub = _with_own_card(PeftModel.push_to_hub)  # type: ignore[method-assign]
    PeftModel.disable_adapter = _as_statement_too(PeftModel.disable_adapter)  # type: ignore[method-assign]
    peft_model.load_peft_weights = _already_read_or(peft_model.load_peft_weights)
    for module in (transformers_peft, auto_factory):
        module.find_adapter_config_file = _checked_file(module.find_adapter_config_file)  # type: ignore[attr-defined]
    if hasattr(PreTrainedModel, "_load_pretrained_model"):  # without it, commits are found less often
        PreTrainedModel._load_pretrained_model = staticmethod(  # type: ignore[method-assign]
            _with_commit_noted(PreTrainedModel._load_pretrained_model)
        )


# What `PeftModel.load_adapter` is to load, where the files were read by `read_adapter`.
_tensors_read: ContextVar[dict[str, Tensor] | None] = ContextVar("hf_eraser_tensors_read", default=None)


@contextmanager
def _handed_over(tensors: dict[str, Tensor]) -> Iterator[None]:
    token = _tensors_read.set(tensors)
    try:
        yield
    finally:
        _tensors_read.reset(token)


def _already_read_or(load_peft_weights: Callable[..., Any]) -> Callable[..., Any]:
    """
    PEFT (0.21) opens an `adapter_model.bin` where there is no safetensors file, and reads the folder a second time.
    """

    @functools.wraps(load_peft_weights)
    def load(*args: Any, **kwargs: Any) -> Any:
        tensors = _tensors_read.get()
        return load_peft_weights(*args, **kwargs) if tensors is None else dict(tensors)

    return load


def _read_by_us(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers attaches an adapter before it opens the tensors, and falls back to pickles. Around it: a steering
    adapter's files are checked and read first, and handed over. `revision`, `token` and the like, which transformers
    (5.23) takes in `adapter_kwargs` only, may be given as they are, as PEFT has it.
    """
    signature = inspect.signature(load_adapter)

    @functools.wraps(load_adapter)
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
        from .config import SteeringAdapterConfig
        from .repository import DOWNLOAD_ARGUMENTS, read_adapter
        from .steered_model import attached_adapters

        bound = signature.bind(self, *args, **kwargs)
        given = bound.arguments
        config, load_config = given.get("peft_config"), given.get("load_config")
        name = given.get("peft_model_id") or getattr(load_config, "pretrained_model_name_or_path", None)
        if given.get("adapter_state_dict") is not None or name is None:
            return load_adapter(*bound.args, **bound.kwargs)
        before = attached_adapters(self)
        further = given.get("kwargs", {})
        download = {key: further.pop(key) for key in DOWNLOAD_ARGUMENTS if key in further}
        download |= given.get("adapter_kwargs") or {}
        if given.pop("local_files_only", False):  # which transformers (5.23) cannot pass on itself
            download["local_files_only"] = True
        given["adapter_kwargs"] = download
        if config is None or isinstance(config, SteeringAdapterConfig):
            where = {**(getattr(load_config, "download_kwargs", None) or {}), **download}
            read = read_adapter(self, name, config=config, **where)
            if read is not None:
                # Without an id, transformers asks the Hub nothing more.
                given["peft_model_id"] = None
                given["peft_config"], given["adapter_state_dict"] = read
        info = load_adapter(*bound.args, **bound.kwargs)
        if given.get("adapter_state_dict") is None and attached_adapters(self) != before:
            raise ValueError(f"The steering adapter {name!s} could not be read at first. Load it again.")
        return info

    return load


def _named_default_and_read_by_us(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """
    `PeftModel.load_adapter` insists on an adapter name; on a plain model it is "default" unless given. It also
    attaches an adapter before it opens the tensors: a steering adapter's files are checked and read first.
    """

    @functools.wraps(load_adapter)
    def load(self: PeftModel, model_id: Any, adapter_name: str = "default", *args: Any, **kwargs: Any) -> Any:
        from .model import SteeringModel, take_out
        from .repository import read_adapter

        read = None
        if _tensors_read.get() is None and isinstance(self.base_model, SteeringModel):
            read = read_adapter(self.base_model.model, model_id, **kwargs)
        if read is None:
            return load_adapter(self, model_id, adapter_name, *args, **kwargs)
        if adapter_name in self.peft_config:
            raise ValueError(f"`adapter_name`={adapter_name!r} is taken, there are {sorted(self.peft_config)}.")
        config, tensors = read
        try:
            with _handed_over(tensors):
                self.add_adapter(adapter_name, config)
                return load_adapter(self, model_id, adapter_name, *args, **kwargs)
        except BaseException:
            take_out(self, adapter_name)
            raise

    return load


def _wrapped_and_read_by_us(from_pretrained: Callable[..., Any]) -> Callable[..., Any]:
    """As `_read_by_us`, for `PeftModel.from_pretrained`."""
    signature = inspect.signature(from_pretrained)

    @functools.wraps(from_pretrained)
    def load(cls: type[PeftModel], *args: Any, **kwargs: Any) -> Any:
        from .config import SteeringAdapterConfig
        from .model import take_out
        from .repository import read_adapter
        from .steered_model import attached_adapters

        bound = signature.bind(cls, *args, **kwargs)
        given = bound.arguments
        config, model = given.get("config"), given["model"]
        read = None
        if config is None or isinstance(config, SteeringAdapterConfig):
            read = read_adapter(model, given["model_id"], config=config, **given.get("kwargs", {}))
        if read is None:
            return from_pretrained(*bound.args, **bound.kwargs)
        given["config"], tensors = read
        name = given.get("adapter_name", "default")
        attached_before = name in attached_adapters(model)
        try:
            with _handed_over(tensors):
                return from_pretrained(*bound.args, **bound.kwargs)
        except BaseException:
            if not attached_before:
                take_out(model, name)
            raise

    return load


def _saved_whole(save_pretrained: Callable[..., Any]) -> Callable[..., Any]:
    """PEFT writes into the folder, file by file: a save that is cut off leaves parts of two adapters."""

    @functools.wraps(save_pretrained)
    def save(self: PeftModel, save_directory: Any, safe_serialization: bool = True, *args: Any, **kwargs: Any) -> None:
        from .model import SteeringModel
        from .saving import saved_whole

        if not isinstance(self.base_model, SteeringModel) or os.path.isfile(save_directory):
            return save_pretrained(self, save_directory, safe_serialization, *args, **kwargs)
        if not safe_serialization:
            raise ValueError(
                "`safe_serialization` must be True for a steering adapter: without it, a pickle is written, which "
                "nobody should load."
            )
        with saved_whole(save_directory) as staging:
            save_pretrained(self, str(staging), safe_serialization, *args, **kwargs)

    return save


def _checked_file(find_adapter_config_file: Callable[..., Any]) -> Callable[..., Any]:
    """
    `AutoModel.from_pretrained(adapter)` reads the configuration and loads the base model that it names, before it
    loads the adapter. Around the look-up: what is wrong is found first, and a save that was cut off is seen.
    """

    @functools.wraps(find_adapter_config_file)
    def find(model_id: Any, *args: Any, **kwargs: Any) -> str | None:
        from .checks import current_config_file, read_config, steering_config

        found = find_adapter_config_file(model_id, *args, **kwargs)
        if found is None:
            return None
        path = current_config_file(Path(found).parent)
        values = read_config(path)
        if values is None:
            return found
        if not steering_config(values, path).base_model_name_or_path and not path.with_name("config.json").exists():
            raise ValueError(
                f"{path} does not name the base model (`base_model_name_or_path`). Load the base model, then "
                f"`model.load_adapter({str(model_id)!r})`."
            )
        return str(path)

    return find


def _with_commit_noted(load_pretrained_model: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers (5.23) forgets the commit that it loaded a model from. It is noted where earlier versions kept it,
    from the cached files that the weights come from.
    """
    signature = inspect.signature(load_pretrained_model)

    @functools.wraps(load_pretrained_model)
    def load(*args: Any, **kwargs: Any) -> Any:
        result = load_pretrained_model(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        files, model = given.get("checkpoint_files") or [], given.get("model")
        if files and model is not None and not os.path.basename(files[0]).startswith("adapter_"):
            model.config._commit_hash = extract_commit_hash(files[0], None)
        return result

    return load


def commit_of(model: PreTrainedModel) -> str | None:
    """The commit on the Hub that `model` was loaded from, where it can be known."""
    noted = getattr(model.config, "_commit_hash", None)
    name = model.name_or_path or "."
    if noted is not None or os.path.isdir(name):
        return noted
    # It was loaded before this package was imported. Where the cache holds one commit only, it was that one.
    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    snapshots = Path(cached).parents[1] if isinstance(cached, str) else None
    return extract_commit_hash(cached, None) if snapshots and len(list(snapshots.iterdir())) == 1 else None


def _undone_on_failure(attach: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers attaches an adapter before it reads its tensors, reports missing ones without an error, and stays with
    a half-attached adapter when it fails. Around it: steering tensors are checked, and a failure is undone.
    """

    @functools.wraps(attach)
    def attach_or_leave(self: Any, *args: Any, **kwargs: Any) -> Any:
        from .model import check_tensors, expected_tensors
        from .steered_model import attached_adapters, remove_adapter

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
    transformers loads an adapter by the base model's device map, and tensors on an offloaded layer not at all. Inside,
    the map places what is offloaded on the CPU; of the base model nothing is loaded, and nothing moved. `forward`
    takes the few kilobytes of steering tensors from there.
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

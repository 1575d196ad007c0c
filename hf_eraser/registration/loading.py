"""Around what loads adapters in PEFT and transformers: files are checked and read first, and handed over."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from peft import PeftModel
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor
from transformers.core_model_loading import WeightRenaming

from ..hub.beside import check_folder, check_repository, tell_base
from ..hub.reading import DOWNLOAD_ARGUMENTS
from ..hub.repository import read_adapter
from ..hub.validation import CONFIG_NAME, current_config_file, steering_config
from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import read_config
from ..tuner.model import SteeringModel, take_out
from ..tuner.regular_file import open_regular
from ..tuner.steered_model import attached_adapters
from ..tuner.switching import switching


def read_first(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """
    transformers attaches an adapter before it opens the tensors, and falls back to pickles. Around it: a steering
    adapter's files are checked and read first, and handed over. `revision`, `token` and the like, which transformers
    (5.23) takes in `adapter_kwargs` only, may be given as they are, as PEFT has it.
    """
    signature = inspect.signature(load_adapter)

    @functools.wraps(load_adapter)
    def load(self: Any, *args: Any, **kwargs: Any) -> Any:
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
                # What renames the base model's tensors, of checkpoints older than its class, is not for an adapter
                # that was saved from such a model: some of it takes steering tensors for others. An empty list would
                # mean the model's own renaming.
                given.setdefault("kwargs", {})["weight_mapping"] = [WeightRenaming("steering_", "steering_")]
        own_renaming = vars(self).get("_weight_conversions")
        try:
            info = load_adapter(*bound.args, **bound.kwargs)
        finally:
            if given.get("adapter_state_dict") is not None:
                # transformers (5.23) takes the adapter's renaming for the base model's when that is saved later.
                vars(self).pop("_weight_conversions", None)
                vars(self).update({} if own_renaming is None else {"_weight_conversions": own_renaming})
        if given.get("adapter_state_dict") is None and attached_adapters(self) != before:
            raise ValueError(f"The steering adapter {name!s} could not be read at first. Load it again.")
        return info

    return load


def named_default_and_read_first(load_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """
    `PeftModel.load_adapter` insists on an adapter name; on a plain model it is "default" unless given. It also
    attaches an adapter before it opens the tensors: a steering adapter's files are checked and read first.
    """

    @functools.wraps(load_adapter)
    def load(self: PeftModel, *args: Any, **kwargs: Any) -> Any:
        # Of another method, PEFT would load over an adapter that has the name already, without a word.
        of_steering = isinstance(self.base_model, SteeringModel)
        return load_steering(self, *args, **kwargs) if of_steering else load_adapter(self, *args, **kwargs)

    def load_steering(self: PeftModel, model_id: Any, adapter_name: str = "default", *args: Any, **kwargs: Any) -> Any:
        base: Any = self.base_model.model
        read = read_adapter(base, model_id, **kwargs) if _tensors_read.get() is None else None
        if read is None:
            return load_adapter(self, model_id, adapter_name, *args, **kwargs)
        if adapter_name in self.peft_config:
            raise ValueError(f"`adapter_name`={adapter_name!r} is taken, there are {sorted(self.peft_config)}.")
        config, tensors = read
        try:
            with switching(base), _handed_over(tensors):
                self.add_adapter(adapter_name, config)
                return load_adapter(self, model_id, adapter_name, *args, **kwargs)
        except BaseException:
            take_out(self, adapter_name)
            raise

    return load


def read_before_wrapping(from_pretrained: Callable[..., Any]) -> Callable[..., Any]:
    """As `read_first`, for `PeftModel.from_pretrained`, which wraps the model in a `PeftModel`."""
    signature = inspect.signature(from_pretrained)

    @functools.wraps(from_pretrained)
    def load(cls: type[PeftModel], *args: Any, **kwargs: Any) -> Any:
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


def already_read_or(load_peft_weights: Callable[..., Any]) -> Callable[..., Any]:
    """
    PEFT (0.21) opens an `adapter_model.bin` where there is no safetensors file, and reads the folder a second time.
    """

    @functools.wraps(load_peft_weights)
    def load(*args: Any, **kwargs: Any) -> Any:
        tensors = _tensors_read.get()
        return load_peft_weights(*args, **kwargs) if tensors is None else dict(tensors)

    return load


# What PEFT is to load in this call, where the files were read by `read_adapter`.
_tensors_read: ContextVar[dict[str, Tensor] | None] = ContextVar("hf_eraser_tensors_read", default=None)


@contextmanager
def _handed_over(tensors: dict[str, Tensor]) -> Iterator[None]:
    token = _tensors_read.set(tensors)
    try:
        yield
    finally:
        _tensors_read.reset(token)


def looked_at_first(
    from_pretrained: Callable[..., Any], find_adapter_config_file: Callable[..., Any]
) -> Callable[..., Any]:
    """
    `AutoPeftModel...` loads the base model that an adapter names before it loads the adapter: as for `checked_file`,
    of which `find_adapter_config_file` is the result, what is wrong is found first.
    """

    @functools.wraps(from_pretrained)
    def load(cls: type[Any], pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        where = {name: kwargs[name] for name in DOWNLOAD_ARGUMENTS if kwargs.get(name) is not None}
        found = find_adapter_config_file(pretrained_model_name_or_path, **where)
        values = None if found is None else read_config(Path(found))
        if values is not None and (odd := sorted({"self", "cls"} & values.keys())):
            # PEFT hands all keys to functions of its own.
            raise ValueError(f"{found} holds the keys {odd}, which no configuration has. Have it written again.")
        return from_pretrained(cls, pretrained_model_name_or_path, *args, **kwargs)

    return load


def checked_file(find_adapter_config_file: Callable[..., Any]) -> Callable[..., Any]:
    """
    `AutoModel.from_pretrained(adapter)` reads the configuration and loads the base model that it names, before it
    loads the adapter. Around the look-up: what is wrong is found first, and a save that was cut off is seen.
    """

    @functools.wraps(find_adapter_config_file)
    def find(model_id: Any, *args: Any, **kwargs: Any) -> str | None:
        own = Path(str(model_id), kwargs.get("subfolder") or "", CONFIG_NAME)
        if own.exists():
            open_regular(own).close()
        found = find_adapter_config_file(model_id, *args, **kwargs)
        if found is None:
            return None
        # What was pulled is what it is; only a folder may be one in which a save was cut off.
        path = current_config_file(Path(found).parent) if os.path.isdir(model_id) else Path(found)
        values = read_config(path, PEFT_TYPE_TO_CONFIG_MAPPING)
        if values is None:
            return found
        config = steering_config(values, path, SteeringAdapterConfig)
        if os.path.isdir(model_id):
            check_folder(path.parent)
        else:
            subfolder = kwargs.get("subfolder") or ""
            asked = {name: kwargs[name] for name in ("token", "local_files_only") if name in kwargs}
            check_repository(str(model_id), path.parents[len(Path(subfolder).parts)], subfolder, **asked)
        if not config.base_model_name_or_path:
            raise ValueError(
                f"{path} does not name the base model (`base_model_name_or_path`). Load the base model, then "
                f"`model.load_adapter({str(model_id)!r})`."
            )
        tell_base(model_id, config.base_model_name_or_path)
        return str(path)

    return find

"""Everything that importing this package changes in PEFT and transformers, in one list."""

from __future__ import annotations

import peft.peft_model as peft_model
import transformers.integrations.peft as transformers_peft
import transformers.models.auto.auto_factory as auto_factory
import transformers.pipelines as transformers_pipelines
from peft import PeftModel
from peft.auto import _BaseAutoPeftModel
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import register_peft_method
from transformers import PreTrainedModel
from transformers.integrations import PeftAdapterMixin

from ..hub.base_commit import with_commit_noted
from ..hub.saved_model import SavedModel
from ..tuner.config import SteeringAdapterConfig
from ..tuner.model import SteeringModel
from ..tuner.peft_type import STEERING
from .attaching import undone_on_failure
from .loading import (
    already_read_or,
    checked_file,
    looked_at_first,
    named_default_and_read_first,
    read_before_wrapping,
    read_first,
)
from .saving import as_statement_too, deleted_at_once, read_between_switches, saved_by_moving, with_own_card


def register() -> None:
    """
    Register the method with PEFT, and put right what loading, saving, switching and deleting lack in both libraries.

    Idempotent.
    """
    if STEERING in PEFT_TYPE_TO_TUNER_MAPPING:
        return
    register_peft_method(
        name="steering", config_cls=SteeringAdapterConfig, model_cls=SteeringModel, prefix=SteeringModel.prefix
    )
    SteeringModel.mixin = SavedModel
    PeftAdapterMixin.add_adapter = undone_on_failure(PeftAdapterMixin.add_adapter)  # type: ignore[method-assign]
    PeftAdapterMixin.load_adapter = undone_on_failure(  # type: ignore[method-assign]
        read_first(PeftAdapterMixin.load_adapter)
    )
    PeftModel.load_adapter = named_default_and_read_first(PeftModel.load_adapter)  # type: ignore[method-assign]
    PeftModel.from_pretrained = classmethod(  # type: ignore[method-assign,assignment]
        read_before_wrapping(PeftModel.from_pretrained.__func__)  # type: ignore[attr-defined]
    )
    PeftModel.save_pretrained = saved_by_moving(PeftModel.save_pretrained)  # type: ignore[method-assign]
    PeftModel.push_to_hub = with_own_card(PeftModel.push_to_hub)  # type: ignore[method-assign]
    PeftModel.disable_adapter = as_statement_too(PeftModel.disable_adapter)  # type: ignore[method-assign]
    PeftModel.delete_adapter = deleted_at_once(PeftModel.delete_adapter)  # type: ignore[method-assign]
    for name in ("active_peft_config", "has_active_enabled_adapter"):
        if (read := getattr(vars(PeftModel).get(name), "fget", None)) is not None:
            setattr(PeftModel, name, property(read_between_switches(read)))
    peft_model.load_peft_weights = already_read_or(peft_model.load_peft_weights)
    for module in (transformers_peft, auto_factory, transformers_pipelines):
        module.find_adapter_config_file = checked_file(module.find_adapter_config_file)  # type: ignore[attr-defined]
    _BaseAutoPeftModel.from_pretrained = classmethod(  # type: ignore[method-assign,assignment]
        looked_at_first(
            _BaseAutoPeftModel.from_pretrained.__func__,  # type: ignore[attr-defined]
            auto_factory.find_adapter_config_file,
        )
    )
    if hasattr(PreTrainedModel, "_load_pretrained_model"):  # without it, commits are found less often
        PreTrainedModel._load_pretrained_model = staticmethod(  # type: ignore[method-assign]
            with_commit_noted(PreTrainedModel._load_pretrained_model)
        )

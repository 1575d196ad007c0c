"""Around `PeftModel`'s saving, publishing, switching off and deleting."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from peft import PeftModel

from ..hub.saving import saved_whole
from ..tuner.model import SteeringModel
from ..tuner.steered_model import DisabledAdapters
from ..tuner.switching import Switch, switch_of


def saved_by_moving(save_pretrained: Callable[..., Any]) -> Callable[..., Any]:
    """PEFT writes into the folder, file by file: a save that is cut off leaves parts of two adapters."""

    @functools.wraps(save_pretrained)
    def save(self: PeftModel, save_directory: Any, safe_serialization: bool = True, *args: Any, **kwargs: Any) -> None:
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


def as_statement_too(disable_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.disable_adapter()` called without `with` does nothing: the output would stay steered."""

    @functools.wraps(disable_adapter)
    def disable(self: PeftModel) -> Any:
        if isinstance(self.base_model, SteeringModel):
            return DisabledAdapters(self)
        return disable_adapter(self)

    return disable


def deleted_at_once(delete_adapter: Callable[..., Any]) -> Callable[..., Any]:
    """PEFT deletes an adapter and then notes which one is active instead: a call in between finds none."""

    @functools.wraps(delete_adapter)
    def delete(self: PeftModel, adapter_name: str) -> None:
        switch = _switch_in(self)
        with nullcontext() if switch is None else switch.switching():
            delete_adapter(self, adapter_name)

    return delete


def read_between_switches(read_active: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.forward` looks up the active adapter before its call begins, which switches wait for."""

    @functools.wraps(read_active)
    def read(self: PeftModel) -> Any:
        switch = _switch_in(self)
        with nullcontext() if switch is None else switch.call():
            return read_active(self)

    return read


def _switch_in(model: PeftModel) -> Switch | None:
    """That of the model in it, which is found without asking for the active adapter."""
    return switch_of(model.base_model.model) if isinstance(model.base_model, SteeringModel) else None


def with_own_card(push_to_hub: Callable[..., Any]) -> Callable[..., Any]:
    """`PeftModel.push_to_hub` is transformers', which overwrites PEFT's card with that of a whole model."""

    @functools.wraps(push_to_hub)
    def push(self: PeftModel, repo_id: str, **kwargs: Any) -> Any:
        if isinstance(self.base_model, SteeringModel):
            # Here, so that whoever only loads an adapter does not pay for importing it.
            from ..hub.publishing import push_adapter

            return push_adapter(self, repo_id, **kwargs)
        return push_to_hub(self, repo_id, **kwargs)

    return push

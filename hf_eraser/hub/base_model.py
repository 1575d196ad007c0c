"""The base model of an adapter: what is recorded of it, and what is compared when the adapter is loaded."""

from __future__ import annotations

import re
import warnings

from transformers import PreTrainedModel

from ..tuner.config import SteeringAdapterConfig
from .base_commit import commit_of


def record_base(config: SteeringAdapterConfig, model: PreTrainedModel) -> None:
    """
    Note in a fresh adapter's configuration which model it is made for: name, commit on the Hub, and architecture.

    The name is what the model was loaded by, as PEFT has it. For a local folder that is its path, by which the saved
    adapter finds its base on this machine; whoever publishes the adapter must replace it.
    """
    config.base_model_name_or_path = model.name_or_path or None
    config.revision = commit_of(model)
    config.base_model_type = model.config.model_type


def check_base(config: SteeringAdapterConfig, model: PreTrainedModel) -> None:
    """
    Compare the model that an adapter was made for with the one that it comes to; what is not known is not compared.

    Width and depth are compared by `SteeringAdapterConfig.resolved`.

    Warns:
        UserWarning: If it is another revision of the base model.

    Raises:
        ValueError: If it has another architecture.
    """
    name = config.base_model_name_or_path or "name not recorded"
    if config.base_model_type not in (None, model.config.model_type):
        raise ValueError(
            f"The adapter was made for a {config.base_model_type!r} model ({name}), this is a "
            f"{model.config.model_type!r} model ({model.name_or_path or 'name not known'}). Load it into the model "
            "that it was made for."
        )
    commit = commit_of(model)
    # PEFT's field may hold the name of a branch as well, which says nothing about what is in it by now.
    if commit and re.fullmatch("[0-9a-f]{40}", config.revision or "") and commit != config.revision:
        warnings.warn(
            f"The adapter was made for revision {config.revision} of its base model ({name}), this model is revision "
            f"{commit} of {model.name_or_path}. If the weights differ, gates may open and close at the wrong inputs.",
            stacklevel=2,
        )

"""What is known of a base model, compared with what an adapter was made for."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from ..tuner.fields import SteeringFields
from ..tuner.printable import printable


def precision_in_words(dtype: torch.dtype, quantization: Any) -> str:
    """
    What a model computes in: its dtype, and how it is quantised, such as `"bfloat16, bitsandbytes 4 bit nf4"`.

    Args:
        dtype: The dtype.
        quantization: The `quantization_config` of its configuration, if there is one.
    """
    name = str(dtype).removeprefix("torch.")
    if quantization is None:
        return name
    kinds = _kinds_of_configuration(quantization if isinstance(quantization, dict) else quantization.to_dict())
    return f"{name}, {' '.join(kinds)}"


def _kinds_of_configuration(values: Mapping[str, Any]) -> list[str]:
    method = values.get("quant_method")
    kinds = [str(getattr(method, "value", method))]
    if values.get("load_in_8bit"):
        return [*kinds, "8 bit"]
    if values.get("load_in_4bit"):
        return [*kinds, "4 bit", str(values.get("bnb_4bit_quant_type"))]
    if values.get("bits") is not None:
        groups = [f"group {values['group_size']}"] if values.get("group_size") is not None else []
        return [*kinds, f"{values['bits']} bit", *groups]
    return [*kinds, *_leaves({name: value for name, value in values.items() if name != "quant_method"})]


def _leaves(value: Any) -> list[str]:
    """What a nested configuration says in words and numbers, but for versions and for which modules it holds."""
    if isinstance(value, dict):
        # torchao writes {"_type": "torch.dtype", "_data": "int4"}: of a plain value, its type says nothing more.
        plain = "_type" in value and not isinstance(value.get("_data"), (dict, list))
        left_out = ("_version", "_type") if plain else ("_version",)
        said = (name for name in value if not name.endswith(left_out) and not name.startswith("modules"))
        return [leaf for name in said for leaf in _leaves(value[name])]
    if isinstance(value, (list, tuple)):
        return [leaf for one in value for leaf in _leaves(one)]
    return [] if value is None or isinstance(value, bool) else [str(value).removeprefix("torch.")]


def compare_base(
    config: SteeringFields, *, model_type: str, name: str | None, commit: str | None, precision: str
) -> None:
    """
    Compare the model that an adapter was made for with the one that it comes to; what is not known is not compared.

    Width and depth are compared by `SteeringAdapterConfig.resolved`.

    Args:
        config: The adapter's configuration.
        model_type: Of the model's configuration.
        name: What the model was loaded by.
        commit: Its commit on the Hub.
        precision: What `precision_in_words` says of it.

    Warns:
        UserWarning: If it is another revision of the base model, or computes in another precision than the one that
            thresholds are for.

    Raises:
        ValueError: If it has another architecture.
    """
    base, revision = (getattr(config, field, None) for field in ("base_model_name_or_path", "revision"))
    base, name = printable(base or "name not recorded"), name and printable(name)
    if config.base_model_type not in (None, model_type):
        raise ValueError(
            f"The adapter was made for a {config.base_model_type!r} model ({base}), this is a {model_type!r} model "
            f"({name or 'name not known'}). Load it into the model that it was made for."
        )
    # PEFT's field may hold the name of a branch as well, which says nothing about what is in it by now.
    if commit and re.fullmatch("[0-9a-f]{40}", revision or "") and commit != revision:
        warnings.warn(
            f"The adapter was made for revision {revision} of its base model ({base}), this model is revision "
            f"{commit} of {name}. If the weights differ, gates may open and close at the wrong inputs.",
            stacklevel=3,
        )
    if config.base_precision not in (None, precision):
        warnings.warn(
            f"The adapter's thresholds are for a base model in {printable(config.base_precision)}, this model is in "
            f"{precision}. Whether gates open and close at the same inputs is not known: `hf-eraser recalibrate` sets "
            "thresholds anew, and `hf-eraser eval` measures.",
            stacklevel=3,
        )

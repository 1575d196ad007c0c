"""The base model of an adapter: what is recorded of it, and what is compared when the adapter is loaded."""

from __future__ import annotations

import torch
from torch import nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from ..tuner.config import SteeringAdapterConfig
from ..tuner.decoder import find_decoder
from .base_commit import commit_of
from .base_facts import compare_base, precision_in_words


# Where torch's own quantised modules are.
_PACKED = "torch.ao.nn"


def record_base(config: SteeringAdapterConfig, model: PreTrainedModel) -> None:
    """
    Note in a fresh adapter's configuration which model it is made for: name, commit on the Hub, architecture, and what
    it computes in.

    The name is what the model was loaded by, as PEFT has it. For a local folder that is its path, by which the saved
    adapter finds its base on this machine; whoever publishes the adapter must replace it.
    """
    config.base_model_name_or_path = model.name_or_path or None
    config.revision = commit_of(model)
    config.base_model_type = model.config.model_type
    config.base_precision = precision_of(model)


def precision_of(model: PreTrainedModel) -> str:
    """
    What a model computes in: its dtype, and how it is quantised, such as `"bfloat16, bitsandbytes 4 bit nf4"`.

    How it is quantised is said by its configuration; where that does not say, by the weights of its decoder layers.
    """
    given = getattr(model.config, "quantization_config", None)
    words = precision_in_words(model.dtype, given)
    kinds = _kinds_of_weights(model) if given is None else []
    return f"{words}, {' '.join(kinds)}" if kinds else words


def _kinds_of_weights(model: PreTrainedModel) -> list[str]:
    """The kinds of tensors in decoder layers that are no plain floating point, by type and dtype."""
    kinds = set()
    for layer in find_decoder(model).layers:
        for tensor in (*layer.parameters(), *layer.buffers()):
            plain = type(tensor) in (torch.Tensor, nn.Parameter, nn.Buffer) or isinstance(tensor, DTensor)
            if not plain:
                target = getattr(tensor, "target_dtype", None) or tensor.dtype
                kinds.add(f"{type(tensor).__name__} {target}".replace("torch.", ""))
            elif not tensor.is_floating_point() and tensor.dtype != torch.bool:  # masks are bool
                kinds.add(str(tensor.dtype).removeprefix("torch."))
        # Of modules that keep their weights packed, outside of parameters.
        packed = (type(module) for module in layer.modules())
        kinds |= {f"quantized {kind.__name__}" for kind in packed if kind.__module__.startswith(_PACKED)}
    return sorted(kinds)


def check_base(config: SteeringAdapterConfig, model: PreTrainedModel) -> None:
    """Compare the model that an adapter was made for with the one that it comes to; see `compare_base`."""
    compare_base(
        config,
        model_type=model.config.model_type,
        name=model.name_or_path,
        commit=commit_of(model),
        precision=precision_of(model),
    )

"""A fitted adapter on the model: for good, or for a trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel, set_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel

from ...hub.base_model import record_base
from ...tuner.config import SteeringAdapterConfig
from ...tuner.decoder import find_decoder
from ...tuner.layout import adapter_layout
from ...tuner.switching import switching
from ...tuner.wrapped import base_of
from ..directions.erasure import Erasure
from ..gates.delivering import GateTensors
from ..reading.views import Source


# The adapter that trials attach for a moment.
_TRIAL_NAME = "hf_eraser_trial"


def adapter_tensors(
    model: PreTrainedModel, config: SteeringAdapterConfig, erasure: Erasure, gates: GateTensors
) -> dict[str, Tensor]:
    """
    The adapter's tensors under their names in an adapter file.

    Directions, each as long as the residual stream of its layer, are shared out over the steered layers: so a strength
    means about the same however many there are.
    """
    layers = config.layers_to_transform
    assert isinstance(layers, list)
    decoder = find_decoder(model)
    values = {
        "steering_direction": {layer: erasure.directions[layer] / len(layers) for layer in layers},
        "steering_gate_weight": gates.weight,
        "steering_gate_bounds": gates.bounds,
    }
    return {
        tensor.file_name: values[tensor.kind][tensor.layer]
        for tensor in adapter_layout(decoder.names, decoder.hidden_size, config)
    }


def attach_fitted(
    model: PreTrainedModel | PeftModel, config: SteeringAdapterConfig, tensors: dict[str, Tensor], adapter_name: str
) -> None:
    """Attach a fitted adapter, active, with its base model recorded; a failure leaves the model as it was."""
    base = base_of(model)
    record_base(config, base)
    with switching(base):
        if isinstance(model, PeftModel):
            model.add_adapter(adapter_name, config)
            model.set_adapter(adapter_name)
        else:
            model.add_adapter(config, adapter_name)
        set_peft_model_state_dict(model, tensors, adapter_name=adapter_name)


@contextmanager
def attached(source: Source, config: SteeringAdapterConfig, erasure: Erasure, gates: GateTensors) -> Iterator[None]:
    """The adapter is on the model, alone among steering adapters, inside."""
    model = source.adapted
    if isinstance(model, PeftModel):
        others = list(model.active_adapters)
    else:
        others = model.active_adapters() if getattr(model, "peft_config", None) else []
    try:
        attach_fitted(model, config, adapter_tensors(source.model, config, erasure, gates), _TRIAL_NAME)
        yield
    finally:
        if _TRIAL_NAME in getattr(model, "peft_config", {}):
            model.delete_adapter(_TRIAL_NAME)
        if others:
            # A PeftModel takes several names only in its tuner.
            takes_several: Any = model.base_model if isinstance(model, PeftModel) else model
            takes_several.set_adapter(others)

"""Requests on a model: one adapter of all of them, or one of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from ...tuner.config import SteeringAdapterConfig
from ...tuner.decoder import find_decoder
from ...tuner.fields import Readout
from ...tuner.gate import Modality
from ...tuner.wrapped import base_of
from ..directions.erasure import Erasure
from ..gates.choosing import Chosen
from ..gates.delivering import GateTensors, gate_tensors
from ..gates.judging import Together, judge, together
from ..gates.solving import ALL
from ..gates.trying import Fitted
from ..steering.attaching import adapter_tensors, attach_fitted
from .kept import Kept
from .solving import from_data


def attach_requests(
    kept: Kept,
    model: PreTrainedModel | PeftModel,
    requests: Sequence[Mapping[str, Any]],
    adapter_name: str,
    *,
    stacked: bool = False,
) -> GateTensors:
    """Put requests on the model, with thresholds that hold for all of them together."""
    base = base_of(model)
    hidden_size = find_decoder(base).hidden_size
    options = kept.options
    at_once: dict[int, dict[Modality, Together]] = {}
    left_out = {number for request in requests for number in request["left_out"]}
    for place, retained in kept.places.items():
        key, groups = (place.layer, place.readout, place.modality), retained.every_group
        gates = [
            judge(
                retained.without(from_data(place, number, request["gates"][key]), left_out),
                groups,
                alpha=options["alpha"],
                general_alpha=options["general_alpha"],
            )
            for number, request in enumerate(requests)
            if key in request["gates"]
        ]
        if gates:
            at_once.setdefault(place.layer, {})[place.modality] = together(gates)
    readouts: dict[Modality, Readout] = {place.modality: place.readout for place in kept.places}
    layers: dict[Modality, int] = {place.modality: place.layer for place in kept.places}
    concepts: list[int | None] = list(range(len(requests)))
    fitted = Fitted({}, {}, "ridge", True, concepts, ALL, {}, {}, {})
    tensors = gate_tensors(
        Chosen(readouts, layers, at_once), fitted, gate="calibrated", hidden_size=hidden_size, fold=ALL
    )
    steering = kept.steering
    config = SteeringAdapterConfig(
        gate_layer=tensors.gate_layer,
        text_gate_layer=tensors.text_gate_layer,
        readout=tensors.readout,
        text_readout=tensors.text_readout,
        gate="calibrated",
        rank=len(requests),
        **steering,
    )
    directions = {
        layer: torch.stack([request["directions"][layer] for request in requests])
        for layer in steering["layers_to_transform"]
    }
    parts = [(adapter_name, slice(None))]
    if stacked:
        parts = [(f"{adapter_name}_{number + 1}", slice(number, number + 1)) for number in range(len(requests))]
    made = []
    for part, of in parts:
        own = replace(
            tensors,
            weight={layer: weight[:, of] for layer, weight in tensors.weight.items()},
            bounds={layer: bounds[:, of] for layer, bounds in tensors.bounds.items()},
        )
        erasure = Erasure({layer: found[of] for layer, found in directions.items()}, [], [], [])
        own_config = replace(config, rank=1 if stacked else len(requests))
        made.append((part, own_config, adapter_tensors(base, own_config, erasure, own)))
    for part, own_config, values in made:
        if part in getattr(model, "peft_config", {}):
            cast(Any, model).delete_adapter(part)
        attach_fitted(model, own_config, values, part)
    if stacked:
        # A PeftModel takes several names only in its tuner.
        takes_several: Any = model.base_model if isinstance(model, PeftModel) else model
        takes_several.set_adapter([part for part, _ in parts])
    return tensors

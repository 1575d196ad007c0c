"""Prompts with an image and prompts without may be read at different layers."""

from __future__ import annotations

import pytest
import torch

from hf_eraser import SteeringAdapterConfig
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.explain import gate_decisions
from hf_eraser.tuner.layout import adapter_layout
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


@pytest.mark.parametrize(("gate_layer", "text_gate_layer"), [(0, 2), (2, 0), (1, 1)])
@pytest.mark.parametrize("mode", ["calibrated", "linear", "always"])
def test_each_prompt_gets_what_an_adapter_gives_that_reads_all_at_its_layer(
    untaught, gate_layer, text_gate_layer, mode
):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    with_image = torch.tensor(["prompt" not in p or "image" in p for p in PROMPTS])
    config = {"layers_to_transform": [3, 4], "gate": mode, "low": -2.0, "high": 2.0}
    both = attach(model, gate_layer=gate_layer, text_gate_layer=text_gate_layer, **config)
    found = logits(model, inputs)
    model.delete_adapter("default")
    for layer, rows in ((gate_layer, with_image), (text_gate_layer, ~with_image)):
        alone = attach(model, gate_layer=layer, **config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "steering_" in name:
                    parameter.copy_(both["base_model.model." + name.removesuffix(".default")])
        assert alone.keys() <= both.keys()
        torch.testing.assert_close(logits(model, inputs)[rows], found[rows], rtol=0, atol=0)
        model.delete_adapter("default")


def test_what_is_explained_is_read_at_the_layer_of_the_modality(untaught):
    model, processor = untaught
    attach(model, layers_to_transform=[3], gate_layer=0, text_gate_layer=2)
    for prompt in PROMPTS:
        [decisions] = gate_decisions(model, batch_of(model, processor, [prompt]))
        [gate] = decisions["default"]
        assert (gate.layer, gate.modality) == ((2, "text") if prompt.keys() == {"prompt"} else (0, "image"))


def test_an_adapter_has_gates_on_both_layers_and_steers_from_the_later_one_on(untaught):
    model, _ = untaught
    config, decoder = SteeringAdapterConfig(gate_layer=1, text_gate_layer=-4), find_decoder(model)
    layout = adapter_layout(decoder.names, decoder.hidden_size, config)
    assert sorted({t.layer for t in layout if t.kind == "steering_gate_weight"}) == [1, 2]
    assert sorted({t.layer for t in layout if t.kind == "steering_direction"}) == [2, 3, 4, 5]


def test_a_steered_layer_before_either_gate_layer_is_refused():
    config = SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1, text_gate_layer=3)
    with pytest.raises(ValueError, match="comes before `text_gate_layer`=3"):
        config.resolved(hidden_size=8, num_hidden_layers=6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_gate_layer": 1}, "needs a `gate_layer`"),
        ({"gate_layer": 1, "text_gate_layer": "2"}, "`text_gate_layer` must be a layer number or None"),
        ({"positions": "first"}, "`positions` must be one of"),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        SteeringAdapterConfig(**fields)

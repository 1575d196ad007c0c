"""What is told of a gate is what the forward pass decided by."""

from __future__ import annotations

import math

import pytest
import torch
from peft import get_peft_model

from hf_eraser import SteeringAdapterConfig
from hf_eraser.tuner.explain import decisions_on, gate_decisions
from hf_eraser.tuner.steered_model import steered_by
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


HAS_IMAGE = ["image" if "image" in prompt or "messages" in prompt else "text" for prompt in PROMPTS]


def as_tensor(rows, name, attribute):
    return torch.tensor([[getattr(gate, attribute) for gate in row[name]] for row in rows])


@torch.no_grad()
def decided(model, inputs):
    """What a forward pass without any explaining decides."""
    return model(**inputs).past_key_values.steering_decision.gates


def expected_gate(rows, name):
    score, low, high = (as_tensor(rows, name, attribute) for attribute in ("score", "low", "high"))
    return ((score - low) / (high - low)).clamp(0, 1)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("rank", "readout"), [(1, "image"), (2, "image"), (2, "joined")])
def test_gate_is_the_one_that_the_forward_pass_uses_and_follows_from_score_and_bounds(untaught, side, rank, readout):
    model, processor = untaught
    attach(model, rank=rank, low=-60.0, high=60.0, readout=readout, text_readout="last")
    inputs = batch_of(model, processor, PROMPTS, side)
    rows = gate_decisions(model, inputs)
    gates = as_tensor(rows, "default", "gate")
    assert gates.shape == (len(PROMPTS), rank)
    assert ((gates > 0) & (gates < 1)).any()
    assert torch.equal(gates, decided(model, inputs)["default", None])
    assert torch.equal(gates, expected_gate(rows, "default"))
    assert [row["default"][0].modality for row in rows] == HAS_IMAGE
    assert [row["default"][0].readout for row in rows] == [
        readout if kind == "image" else "last" for kind in HAS_IMAGE
    ]
    assert all(gate.layer == 1 and gate.direction == i for row in rows for i, gate in enumerate(row["default"]))
    assert all(gate.is_open is (gate.gate > 0) for row in rows for gate in row["default"])


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_steered_layer_with_a_gate_of_its_own_is_told_of(untaught, side):
    model, processor = untaught
    attach(model, gate_layer=None, rank=2, low=-60.0, high=60.0)
    inputs = batch_of(model, processor, PROMPTS, side)
    rows = gate_decisions(model, inputs)
    assert [(gate.layer, gate.direction) for gate in rows[0]["default"]] == [(2, 0), (2, 1), (4, 0), (4, 1)]
    gates = decided(model, inputs)
    assert torch.equal(
        as_tensor(rows, "default", "gate"), torch.cat([gates["default", 2], gates["default", 4]], dim=1)
    )
    assert torch.equal(as_tensor(rows, "default", "gate"), expected_gate(rows, "default"))


@pytest.mark.parametrize("kind", ["plain", "peft"])
def test_adapters_that_are_not_active_are_told_of_as_if_they_were_and_stay_inactive(untaught, kind):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    if kind == "peft":
        model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "unused")
    attach(model, "one", seed=1, low=-60.0, high=60.0, gate_layer=None)
    attach(model, "two", seed=2, low=-60.0, high=60.0)
    (model.base_model if kind == "peft" else model).set_adapter(["one", "two"])
    both = decided(model, inputs)
    model.set_adapter("two")
    before = logits(model, inputs)
    rows = gate_decisions(model, inputs, adapters=["one", "two"])
    assert all(set(row) == {"one", "two"} for row in rows)
    assert torch.equal(as_tensor(rows, "two", "gate"), both["two", None])
    assert torch.equal(as_tensor(rows, "one", "gate"), torch.cat([both["one", 2], both["one", 4]], dim=1))
    assert all(set(row) == {"two"} for row in gate_decisions(model, inputs))
    assert torch.equal(logits(model, inputs), before)


def test_cache_of_generate_tells_what_generate_decided_by(untaught):
    model, processor = untaught
    attach(model, low=-60.0, high=60.0)
    inputs = batch_of(model, processor, PROMPTS)
    cache = model.generate(**inputs, max_new_tokens=4, do_sample=False, return_dict_in_generate=True).past_key_values
    rows = decisions_on(model, cache)
    assert torch.equal(as_tensor(rows, "default", "gate"), cache.steering_decision.gates["default", None])
    assert torch.equal(as_tensor(rows, "default", "gate"), expected_gate(rows, "default"))


def test_merged_adapters_are_told_apart(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "unused")
    attach(model, "one", seed=1, low=-60.0, high=60.0)
    attach(model, "two", seed=2, low=-60.0, high=60.0)
    model.base_model.set_adapter(["one", "two"])
    alone = gate_decisions(model, inputs)
    model.merge_adapter()
    assert gate_decisions(model, inputs) == alone


def test_modality_that_is_never_steered_has_an_infinite_low(llava):
    model, processor = llava
    attach(model, low=math.inf, high=math.inf)
    for row in gate_decisions(model, batch_of(model, processor, PROMPTS)):
        [gate] = row["default"]
        assert (gate.low, gate.gate, gate.is_open) == (math.inf, 0.0, False)


def test_acting_adapters_are_restored_whatever_happens_inside(llava):
    model, processor = llava
    attach(model, "one", seed=1)
    attach(model, "two", seed=2)
    inputs = batch_of(model, processor, PROMPTS)
    with steered_by(model, []):
        base = logits(model, inputs)
    model.disable_adapter()
    assert torch.equal(logits(model, inputs), base)

    def fail():
        with steered_by(model, ["one"]):
            assert not torch.equal(logits(model, inputs), base)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(logits(model, inputs), base)
    model.enable_adapters()
    assert model.active_adapters() == ["two"]


def test_unknown_adapter_and_no_acting_adapter_say_so(llava):
    model, processor = llava
    attach(model, "one")
    inputs = batch_of(model, processor, PROMPTS)
    with pytest.raises(ValueError, match=r"names \['two'\], the steering adapters are \['one'\]"):
        gate_decisions(model, inputs, adapters=["two"])
    with model.disable_adapter(), pytest.raises(ValueError, match="no steering adapter acted"):
        gate_decisions(model, inputs)

"""Several adapters on one model: together, by row, combined into one, and beside a LoRA."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

from hf_eraser import SteeringAdapterConfig
from tests.helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits, random_tensors


ROWS = ["one", "__base__", "two", "one", "two"]


@pytest.fixture(params=["plain", "peft"])
def case(request, untaught):
    """A model with the adapters "one" and "two", of which "two" is active, and a batch of five rows."""
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    if request.param == "peft":
        model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "unused")
    attach(model, "one", seed=1, low=-1e3, high=-1e2)
    attach(model, "two", seed=2, low=-3.0, high=3.0, layers_to_transform=[3, 5], gate_layer=0, steer_decode=False)
    return model, inputs


def by_adapter(model, run):
    """What `run` gives with each adapter alone and with none."""
    results = {}
    for name in ("one", "two"):
        model.set_adapter(name)
        results[name] = run()
    with model.disable_adapter():
        results["__base__"] = run()
    return results


@torch.no_grad()
def test_each_row_gets_the_adapter_of_its_name(case):
    model, inputs = case
    alone = by_adapter(model, lambda: logits(model, inputs))
    mixed = model(**inputs, adapter_names=ROWS).logits
    for row, name in enumerate(ROWS):
        assert torch.equal(mixed[row], alone[name][row])


def test_generation_gives_each_row_what_it_gets_alone(case):
    model, inputs = case
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    alone = by_adapter(model, lambda: model.generate(**inputs, **options))
    mixed = model.generate(**inputs, adapter_names=ROWS, **options)
    for row, name in enumerate(ROWS):
        assert torch.equal(mixed[row], alone[name][row])


def test_beams_of_a_row_have_the_row_s_adapter(case):
    model, inputs = case
    options = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "num_beams": 2, "num_return_sequences": 2}
    alone = by_adapter(model, lambda: model.generate(**inputs, **options))
    mixed = model.generate(**inputs, adapter_names=ROWS, **options)
    for row, name in enumerate(ROWS):
        assert torch.equal(mixed[2 * row : 2 * row + 2], alone[name][2 * row : 2 * row + 2])


@torch.no_grad()
def test_names_of_rows_hold_for_one_call_only(case):
    model, inputs = case
    model.set_adapter("two")
    before = logits(model, inputs)
    model(**inputs, adapter_names=ROWS)
    assert torch.equal(logits(model, inputs), before)


@torch.no_grad()
def test_rows_are_not_steered_while_adapters_are_off(case):
    model, inputs = case
    with model.disable_adapter():
        base = logits(model, inputs)
        assert torch.equal(model(**inputs, adapter_names=ROWS).logits, base)


@pytest.mark.parametrize(
    ("names", "message"), [(["one"], "name for each row"), ([], "name for each row"), (["three"] * 5, "three")]
)
def test_names_that_do_not_fit_are_refused(case, names, message):
    model, inputs = case
    with pytest.raises(ValueError, match=message):
        model(**inputs, adapter_names=names)


def test_names_of_rows_are_refused_while_adapters_are_merged(untaught):
    model, processor = untaught
    peft_model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "one")
    peft_model.merge_adapter()
    with pytest.raises(ValueError, match="unmerge_adapter"):
        peft_model(**batch_of(model, processor, PROMPTS), adapter_names=["one"] * 5)


@pytest.mark.parametrize("gate_layer", [1, None])
def test_weighted_adapter_steers_as_its_parts_do_together(untaught, gate_layer):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "unused")
    options = {"low": -3.0, "high": 3.0, "gate_layer": gate_layer}
    attach(model, "one", seed=1, strength=0.5, **options)
    attach(model, "two", seed=2, strength=0.8, layers_to_transform=[3, 4], rank=2, **options)
    model.base_model.set_adapter(["one", "two"])
    together = logits(model, inputs)
    weights = fingerprint(model)
    model.base_model.add_weighted_adapter(["one", "two"], [1.0, 1.0], "both")
    assert fingerprint(model) == weights
    assert model.active_adapters == ["one", "two"]
    model.set_adapter("both")
    assert model.peft_config["both"].rank == 3
    torch.testing.assert_close(logits(model, inputs), together, rtol=1e-4, atol=1e-4)
    model.base_model.add_weighted_adapter(["one", "two"], [1.0, 0.0], "first")
    model.set_adapter("first")
    first = logits(model, inputs)
    model.set_adapter("one")
    torch.testing.assert_close(first, logits(model, inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("adapters", "weights", "name", "message"),
    [
        (["one", "none"], [1.0, 1.0], "new", "`adapters`"),
        ([], [], "new", "`adapters`"),
        (["one"], [1.0, 2.0], "new", "`weights`"),
        (["one"], [-1.0], "new", "`weights`"),
        (["one"], [float("nan")], "new", "`weights`"),
        (["one"], [1.0], "one", "is taken"),
        (["one", "other"], [1.0, 1.0], "new", "differ in 'readout'"),
    ],
)
def test_adapters_that_cannot_be_combined_are_refused(llava, adapters, weights, name, message):
    model, _ = llava
    model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "one")
    attach(model, "other", readout="last")
    with pytest.raises(ValueError, match=message):
        model.base_model.add_weighted_adapter(adapters, weights, name)
    assert set(model.peft_config) == {"one", "other"}


def test_steering_and_a_lora_act_together_on_a_plain_model(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    attach(model, "forget", low=-1e3, high=-1e2)  # open for every prompt
    model.add_adapter(LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False), "lora")
    results = []
    for names in (["forget"], ["lora"], ["forget", "lora"]):
        model.set_adapter(names)
        results.append(logits(model, inputs))
    assert not any(torch.equal(a, b) for a, b in ((results[0], results[1]), *((r, results[2]) for r in results[:2])))


def test_merged_adapters_steer_by_what_they_hold_now(llava):
    """Whatever was deleted, loaded anew under the same name, or written to through `.data` since they were merged."""
    model, processor = llava
    inputs = batch_of(model, processor, PROMPTS[:4])
    merged = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "a")
    merged.add_adapter("b", SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))
    for seed in range(12):
        for name in ("a", "b"):
            tensors = random_tensors(model, merged.peft_config[name], seed=2 * seed + (name == "b"), low=-2, high=-1)
            set_peft_model_state_dict(merged, tensors, adapter_name=name)
        merged.base_model.set_adapter(["a", "b"])
        expected = logits(merged, inputs)
        merged.merge_adapter()
        assert torch.allclose(logits(merged, inputs), expected, atol=1e-5)
        for parameter_name, parameter in merged.named_parameters():
            if "steering_direction" in parameter_name:
                parameter.data.mul_(-1)
        written = logits(merged, inputs)
        merged.unmerge_adapter()
        assert torch.allclose(written, logits(merged, inputs), atol=1e-5)
        assert not torch.allclose(written, expected, atol=1e-3)
        merged.delete_adapter("b")
        merged.add_adapter("b", SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))

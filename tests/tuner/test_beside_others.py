"""Steering adapters beside a LoRA, a trainer, and the base model's own saving and loading."""

from __future__ import annotations

import warnings

import pytest
import torch
from peft import LoraConfig, PeftModel, get_layer_status, get_model_status, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForCausalLM, Trainer, TrainingArguments

from benchmarks.tiny import build_tiny
from hf_eraser import SteeringAdapterConfig, fit
from hf_eraser.registration import attaching
from hf_eraser.tuner.tensors import SteeringTensors
from tests.helpers.adapters import fingerprint, logits, random_tensors


IDS = torch.arange(10, 28).view(2, 9)
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}


def steering(**settings):
    return SteeringAdapterConfig(
        **{"layers_to_transform": [2], "gate_layer": 1, "positions": "last", "strength": 4.0, **settings}
    )


def lora(**settings):
    return LoraConfig(**{"r": 2, "target_modules": ["q_proj"], "init_lora_weights": False, **settings})


def trained(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.fixture
def base():
    return build_tiny("llama", "causal-lm")


@pytest.fixture
def saved(base, tmp_path):
    """The folders of a base model and of an adapter with random tensors, open for every prompt."""
    base.save_pretrained(tmp_path / "base")
    base.add_adapter(steering(), "forget")
    tensors = random_tensors(base, base.peft_config["forget"], low=-2.0, high=-1.0)
    with torch.no_grad():
        for name, parameter in base.named_parameters():
            if "steering_" in name:
                parameter.copy_(tensors["base_model.model." + name.removesuffix(".forget")])
    base.save_pretrained(tmp_path / "forget")
    return tmp_path / "base", tmp_path / "forget"


def test_base_takes_no_gradients_while_an_adapter_is_attached_and_the_same_ones_afterwards(base):
    base.lm_head.weight.requires_grad_(False)
    before = trained(base)
    for name in ("one", "two"):
        base.add_adapter(steering(), name)
        assert trained(base) == set()
    base.delete_adapter("one")
    assert trained(base) == set()
    base.delete_adapter("two")
    assert trained(base) == before
    model = get_peft_model(base, steering())
    assert trained(model) == set()
    assert trained(model.unload()) == before


def test_failed_attaching_leaves_gradients_as_they_were(base):
    before = trained(base)
    with pytest.raises(ValueError, match="99"):
        base.add_adapter(steering(layers_to_transform=[99]))
    assert trained(base) == before


@pytest.mark.parametrize("settings", [{}, {"bias": "all"}])
def test_what_a_lora_trains_is_trained_beside_an_adapter_whichever_came_first(base, settings):
    base.add_adapter(lora(**settings), "lora")
    expected = trained(base)
    base.add_adapter(steering(), "forget")
    base.set_adapter(["lora", "forget"])
    assert trained(base) == expected
    base.delete_adapter("forget")
    assert trained(base) == expected

    other = build_tiny("llama", "causal-lm")
    other.add_adapter(steering(), "forget")
    with pytest.warns(UserWarning, match="switched off"):
        other.add_adapter(lora(**settings), "lora")
    other.set_adapter(["forget", "lora"])
    assert trained(other) == expected
    other.delete_adapter("forget")
    assert trained(other) == expected


def test_a_trainer_changes_the_lora_and_not_the_base_that_is_back_without_it(base, tmp_path):
    plain, weights = logits(base, INPUTS), fingerprint(base)
    base.add_adapter(steering(), "forget")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        base.add_adapter(lora(), "lora")
    base.set_adapter(["forget", "lora"])
    before = {name: parameter.clone() for name, parameter in base.named_parameters()}
    arguments = TrainingArguments(
        tmp_path, max_steps=2, learning_rate=0.1, report_to=[], save_strategy="no", use_cpu=True
    )
    data = [{"input_ids": row, "labels": torch.where(torch.arange(9) < 4, -100, row)} for row in IDS]
    Trainer(base, arguments, train_dataset=data).train()
    changed = {name for name, parameter in base.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    base.eval()
    with base.disable_adapter():
        assert torch.equal(logits(base, INPUTS), plain)
    base.delete_adapter(["forget", "lora"])
    assert fingerprint(base) == weights


def test_all_active_adapters_are_listed_and_none_is_saved_alone_without_a_word(base, tmp_path):
    model = get_peft_model(base, lora())
    inside = model.get_base_model()
    with_lora = logits(inside, INPUTS)
    inside.add_adapter(steering(), "forget")
    inside.set_adapter(["default", "forget"])
    assert torch.equal(logits(inside, INPUTS), with_lora)  # both act; a fresh adapter never steers
    assert inside.active_adapters() == ["default", "forget"]
    with pytest.raises(ValueError, match="one by one"):
        inside.save_pretrained(tmp_path)


def test_loading_an_adapter_that_switches_another_off_says_so(base, saved):
    _, folder = saved
    model = build_tiny("llama", "causal-lm")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.load_adapter(folder, "first")
    with pytest.warns(UserWarning, match=r"\['first'\] were switched off.*set_adapter\(\['first', 'second'\]\)"):
        model.load_adapter(folder, "second")
    model.set_adapter(["first", "second"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.delete_adapter("second")
    assert model.active_adapters() == ["first"]


def test_status_of_layers_and_model_is_filled_as_another_method_s(base):
    model = get_peft_model(base, steering())
    status = get_model_status(model)
    assert (status.requires_grad, status.devices) == ({"default": False}, {"default": ["cpu"]})
    assert {adapter for layer in get_layer_status(model) for adapter in layer.devices} == {"default"}
    held = next(module for module in model.modules() if isinstance(module, SteeringTensors))
    assert not hasattr(held, "weight")
    assert not hasattr(held, "bias")


def test_adapters_that_are_merged_stay_so_when_another_is_deleted_or_merged(base):
    model = get_peft_model(base, steering(), "a")
    for name in ("b", "c"):
        model.add_adapter(name, steering())
    model.base_model.set_adapter(["a", "b", "c"])
    model.merge_adapter(["a"])
    model.delete_adapter("b")
    assert get_model_status(model).merged_adapters == ["a"]
    model.merge_adapter(["c"])
    assert get_model_status(model).merged_adapters == ["a", "c"]


def test_deleting_an_adapter_while_all_are_off_changes_not_which_is_active(base):
    for name in ("a", "b", "c"):
        base.add_adapter(steering(), name)
    base.disable_adapters()
    base.delete_adapter("b")
    base.enable_adapters()
    assert base.active_adapters() == ["c"]


def test_adapter_names_are_refused_in_training_mode(base):
    base.add_adapter(steering(), "forget")
    base.train()
    with pytest.raises(ValueError, match="training mode"):
        base(**INPUTS, adapter_names=["forget", "__base__"])


def test_base_that_is_saved_after_an_adapter_was_loaded_and_deleted_has_its_own_names(saved, tmp_path):
    base_folder, folder = saved
    model = AutoModelForCausalLM.from_pretrained(base_folder)
    model.load_adapter(folder)
    model.delete_adapter("default")
    model.save_pretrained(tmp_path / "again")
    before, after = (load_file(path / "model.safetensors") for path in (base_folder, tmp_path / "again"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_adapter_of_a_model_with_a_head_acts_in_the_model_without_one_and_the_other_way_round(saved, tmp_path):
    base_folder, folder = saved

    def hidden(model):
        with torch.no_grad():
            return model(**INPUTS, output_hidden_states=True).hidden_states[-1]

    model = AutoModelForCausalLM.from_pretrained(base_folder)
    plain = hidden(model)
    model.load_adapter(folder)
    steered = hidden(model)
    assert not torch.equal(steered, plain)
    headless = AutoModel.from_pretrained(base_folder)
    headless.load_adapter(folder)
    assert torch.equal(hidden(headless), steered)
    assert torch.equal(hidden(PeftModel.from_pretrained(AutoModel.from_pretrained(base_folder), folder)), steered)
    headless.save_pretrained(tmp_path / "headless")
    back = AutoModelForCausalLM.from_pretrained(base_folder)
    back.load_adapter(tmp_path / "headless")
    assert torch.equal(hidden(back), steered)


def test_fit_on_a_peft_model_of_another_method_says_what_to_give(base):
    with pytest.raises(ValueError, match=r"LORA.*get_base_model\(\)"):
        fit(get_peft_model(base, lora()), None, [], [])


def test_what_was_active_stays_so_when_loading_another_one_fails_at_the_end(saved, monkeypatch):
    def fails(*arguments):
        raise ValueError("at the end")

    model = build_tiny("llama", "causal-lm")
    for name in ("a", "b"):
        model.load_adapter(saved[1], name, keep_active=name == "a")
    assert model.active_adapters() == ["b"]
    monkeypatch.setattr(attaching, "check_tensors", fails)
    with pytest.raises(ValueError, match="at the end"):
        model.load_adapter(saved[1], "c")
    assert model.active_adapters() == ["b"]
    assert list(model.peft_config) == ["a", "b"]

"""What PEFT's own tests ask of every method, asked of steering adapters on models of several kinds.

What they ask of trained methods has an exception here, each with its reason: a steering adapter has no parameter that
requires a gradient, and it adds something else for each input, so that nothing of it can be merged into a weight.
"""

from __future__ import annotations

import copy
import json

import pytest
import torch
from peft import (
    PeftModel,
    TaskType,
    get_model_status,
    get_peft_model,
    get_peft_model_state_dict,
    inject_adapter_in_model,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file

from benchmarks.tiny import build_tiny
from hf_eraser import SteeringAdapterConfig
from tests.helpers.adapters import fingerprint, logits, random_tensors


IDS = torch.arange(10, 28).view(2, 9)
INPUTS = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}
KINDS = [("causal-lm", kind) for kind in ("llama", "gpt2", "mamba", "qwen2_moe")] + [
    ("image-text-to-text", "llava_next")
]


def config(**settings):
    return SteeringAdapterConfig(
        **{"layers_to_transform": [2], "gate_layer": 1, "positions": "last", "strength": 4.0, **settings}
    )


@pytest.fixture(params=KINDS, ids=[kind for _, kind in KINDS])
def base(request):
    return build_tiny(request.param[1], request.param[0])


def with_tensors(peft_model, adapter_name="default", seed=0):
    """Gives an adapter random tensors, as loading a file does."""
    tensors = random_tensors(
        peft_model.get_base_model(), peft_model.peft_config[adapter_name], seed=seed, low=-2.0, high=-1.0
    )
    set_peft_model_state_dict(peft_model, tensors, adapter_name=adapter_name)
    return peft_model


@pytest.fixture
def adapted(base):
    return with_tensors(get_peft_model(base, config()))


def test_model_can_be_saved_loaded_and_pushed(adapted):
    assert all(hasattr(adapted, name) for name in ("save_pretrained", "from_pretrained", "push_to_hub"))


def test_adapter_has_the_name_that_it_was_given(base):
    model = get_peft_model(base, config(), adapter_name="test-adapter")
    assert list(model.peft_config) == ["test-adapter"]
    assert "test-adapter" in str(model)


def test_config_is_taken_with_a_task_type(base):
    model = get_peft_model(base, config(task_type=TaskType.CAUSAL_LM))
    assert type(model).__name__ == "PeftModelForCausalLM"
    assert torch.isfinite(logits(model, INPUTS)).all()


def test_nothing_of_an_adapter_is_trained(adapted):
    """PEFT asks that its tensors alone require gradients; these are fitted in closed form, so none does."""
    assert adapted.get_nb_trainable_parameters()[0] == 0
    assert not any(parameter.requires_grad for parameter in adapted.parameters())


def test_gradients_flow_to_the_inputs_through_a_steered_model(adapted):
    embeddings = adapted.get_input_embeddings()(IDS).detach().requires_grad_()
    adapted(inputs_embeds=embeddings, attention_mask=INPUTS["attention_mask"]).logits.sum().backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()
    assert embeddings.grad.abs().sum() > 0


def test_gradients_are_the_same_with_checkpointing_or_it_is_refused(adapted):
    """A layer to which its model hands no keyword arguments cannot be run again later: it does not know the prompt."""
    embeddings = adapted.get_input_embeddings()(IDS).detach()

    def gradient():
        given = embeddings.clone().requires_grad_()
        adapted(inputs_embeds=given, attention_mask=INPUTS["attention_mask"], use_cache=False).logits.sum().backward()
        return given.grad

    if not adapted.get_base_model().supports_gradient_checkpointing:
        pytest.skip("the base model has no checkpointing")
    adapted.train()
    for module in adapted.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    expected = gradient()
    adapted.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if adapted.config.model_type == "mamba":
        with pytest.raises(RuntimeError, match="which tokens are the prompt"):
            gradient()
    else:
        assert torch.allclose(gradient(), expected, atol=1e-6)


def test_saved_folder_holds_the_adapter_alone_and_loads_to_the_same_outputs(adapted, base, tmp_path):
    expected = logits(adapted, INPUTS)
    adapted.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors"} <= names
    assert "config.json" not in names
    assert json.loads((tmp_path / "adapter_config.json").read_text())["inference_mode"]
    loaded = PeftModel.from_pretrained(adapted.unload(), tmp_path)
    assert torch.equal(logits(loaded, INPUTS), expected)
    saved, now = load_file(tmp_path / "adapter_model.safetensors"), get_peft_model_state_dict(loaded)
    assert saved.keys() == now.keys()
    assert all(torch.equal(saved[name], now[name]) for name in saved)


def test_only_selected_adapters_are_saved_also_where_names_hold_each_other(adapted, tmp_path):
    for name in ("default2", "other_default", "foodefault_bar", "efaul"):
        adapted.add_adapter(name, config())
    adapted.save_pretrained(tmp_path, selected_adapters=["default"])
    assert load_file(tmp_path / "adapter_model.safetensors").keys() == get_peft_model_state_dict(adapted).keys()
    assert not any(path.is_dir() for path in tmp_path.iterdir())
    adapted.save_pretrained(tmp_path / "two", selected_adapters=["default", "efaul"])
    assert (tmp_path / "two" / "efaul" / "adapter_config.json").is_file()
    with pytest.raises(ValueError, match="unknown"):
        adapted.save_pretrained(tmp_path, selected_adapters=["unknown"])


def test_configuration_that_is_given_is_the_one_that_is_used(adapted, tmp_path):
    """PEFT asks for the very object; this is a copy, to which the width and depth of the base are added."""
    adapted.save_pretrained(tmp_path)
    given = config(strength=3.0)
    loaded = PeftModel.from_pretrained(adapted.unload(), tmp_path, config=given, is_trainable=False)
    used = loaded.peft_config["default"]
    assert (used.strength, used.hidden_size, used.inference_mode) == (3.0, 32, True)


@pytest.mark.parametrize("low_cpu_mem_usage", [False, True])
def test_several_adapters_load_one_after_the_other(adapted, tmp_path, low_cpu_mem_usage):
    expected = logits(adapted, INPUTS)
    adapted.save_pretrained(tmp_path)
    model = PeftModel.from_pretrained(adapted.unload(), tmp_path, low_cpu_mem_usage=low_cpu_mem_usage)
    for name in ("other", "yet-another"):
        found = model.load_adapter(tmp_path, adapter_name=name, low_cpu_mem_usage=low_cpu_mem_usage)
        assert found.missing_keys == []
        assert found.unexpected_keys == []
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    for name in ("default", "other", "yet-another"):
        model.set_adapter(name)
        assert torch.equal(logits(model, INPUTS), expected)


def test_adapter_injects_and_takes_its_tensors_without_a_peft_model(base, adapted):
    expected, tensors = logits(adapted, INPUTS), get_peft_model_state_dict(adapted)
    model = inject_adapter_in_model(config(), adapted.unload())
    set_peft_model_state_dict(model, tensors)
    assert torch.equal(logits(model, INPUTS), expected)


def test_merging_gives_the_same_outputs_again_and_is_taken_back(adapted):
    """PEFT merges into weights; this folds active adapters, and `merge_and_unload` is refused."""
    expected = logits(adapted, INPUTS)
    adapted.merge_adapter()
    merged = logits(adapted, INPUTS)
    with pytest.warns(UserWarning, match="already merged"):
        adapted.merge_adapter()
    assert torch.equal(logits(adapted, INPUTS), merged)
    assert torch.allclose(merged, expected, atol=1e-5)
    adapted.unmerge_adapter()
    assert torch.equal(logits(adapted, INPUTS), expected)


@pytest.mark.parametrize("safe_merge", [False, True])
def test_merging_for_good_is_refused_and_changes_nothing(adapted, safe_merge):
    expected, weights = logits(adapted, INPUTS), fingerprint(adapted)
    with pytest.raises(NotImplementedError, match="unload"):
        adapted.merge_and_unload(safe_merge=safe_merge)
    assert torch.equal(logits(adapted, INPUTS), expected)
    assert fingerprint(adapted) == weights


def test_generate_takes_keywords_and_positions(adapted):
    by_keyword = adapted.generate(**INPUTS, max_new_tokens=3, do_sample=False)
    assert torch.equal(adapted.generate(IDS, max_new_tokens=3, do_sample=False), by_keyword)


def test_generate_runs_in_half_precision(adapted):
    adapted.to(torch.bfloat16)
    assert adapted.generate(**INPUTS, max_new_tokens=3, min_new_tokens=3, do_sample=False).shape == (2, 12)


def test_rows_of_a_batch_have_adapters_of_their_own(adapted):
    adapted.add_adapter("second", config())
    with_tensors(adapted, "second", seed=1)
    expected = {}
    for name in ("default", "second"):
        adapted.set_adapter(name)
        expected[name] = logits(adapted, INPUTS)
    with adapted.disable_adapter():
        expected["__base__"] = logits(adapted, INPUTS)
    three = {name: value[[0, 0, 0]] for name, value in INPUTS.items()}
    names = ["second", "__base__", "default"]
    with torch.no_grad():
        mixed = adapted(**three, adapter_names=names).logits
    for row, name in zip(mixed, names):
        assert torch.allclose(row, expected[name][0], atol=1e-5)
    with pytest.raises(ValueError, match="adapter_names"):
        adapted(**INPUTS, adapter_names=["default"])


def test_beams_of_a_mixed_batch_have_their_row_s_adapter(adapted):
    adapted.add_adapter("second", config())
    with_tensors(adapted, "second", seed=1)
    beams = {"max_new_tokens": 3, "min_new_tokens": 3, "num_beams": 3, "do_sample": False}
    mixed = adapted.generate(**INPUTS, adapter_names=["second", "__base__"], **beams)
    adapted.set_adapter("second")
    assert torch.equal(mixed[0], adapted.generate(**INPUTS, **beams)[0])
    with adapted.disable_adapter():
        assert torch.equal(mixed[1], adapted.generate(**INPUTS, **beams)[1])


@pytest.mark.parametrize("active", [True, False])
def test_deleted_adapter_leaves_nothing_behind_and_the_last_one_can_go(adapted, active):
    expected = logits(adapted, INPUTS)
    adapted.add_adapter("delete_me", config())
    if active:
        adapted.set_adapter("delete_me")
    adapted.delete_adapter("delete_me")
    assert list(adapted.peft_config) == ["default"]
    assert adapted.active_adapters == ["default"]
    assert not any("delete_me" in name for name in (*dict(adapted.named_modules()), *adapted.state_dict()))
    assert torch.equal(logits(adapted, INPUTS), expected)
    adapted.delete_adapter("default")
    assert adapted.active_adapters == []
    assert not adapted.peft_config
    assert torch.isfinite(adapted.base_model(**INPUTS).logits).all()


def test_adapter_that_is_not_there_cannot_be_deleted(adapted):
    with pytest.raises(ValueError, match="unknown-adapter"):
        adapted.delete_adapter("unknown-adapter")


def test_disabled_and_unloaded_models_are_the_base_bit_for_bit(base):
    plain, weights = logits(base, INPUTS), fingerprint(base)
    kinds = {name: type(module) for name, module in base.named_modules()}
    model = with_tensors(get_peft_model(base, config()))
    steered = logits(model, INPUTS)
    assert not torch.equal(steered, plain)
    with model.disable_adapter():
        assert torch.equal(logits(model, INPUTS), plain)
    assert torch.equal(logits(model, INPUTS), steered)
    unloaded = model.unload()
    assert torch.equal(logits(unloaded, INPUTS), plain)
    assert fingerprint(unloaded) == weights
    assert {name: type(module) for name, module in unloaded.named_modules()} == kinds


def test_weighted_adapter_of_one_with_weight_one_is_that_one(adapted):
    expected = logits(adapted, INPUTS)
    adapted.add_weighted_adapter(["default"], [1.0], "weighted")
    adapted.set_adapter("weighted")
    assert torch.allclose(logits(adapted, INPUTS), expected, atol=1e-5)
    with pytest.raises(ValueError, match="default"):
        adapted.add_weighted_adapter(["default", "unknown"], [1.0, 1.0], "refused")


def test_bias_is_no_setting_of_a_steering_adapter():
    """PEFT asks that two adapters with biases are refused; there is no bias here that they could share."""
    with pytest.raises(TypeError):
        config(bias="all")


def test_embeddings_in_place_of_ids_are_taken(adapted):
    embeddings = adapted.get_input_embeddings()(IDS)
    with torch.no_grad():
        given = adapted(inputs_embeds=embeddings, attention_mask=INPUTS["attention_mask"]).logits
    assert torch.allclose(given, logits(adapted, INPUTS), atol=1e-5)


def test_adapted_model_is_copied_with_its_adapter(adapted):
    assert torch.equal(logits(copy.deepcopy(adapted), INPUTS), logits(adapted, INPUTS))


def test_status_says_what_is_attached(adapted):
    status = get_model_status(adapted)
    assert (status.active_adapters, status.enabled, status.merged_adapters) == (["default"], True, [])
    assert status.available_adapters == ["default"]
    assert status.adapter_model_type == "SteeringModel"
    with adapted.disable_adapter():
        assert get_model_status(adapted).enabled is False
    adapted.merge_adapter()
    assert get_model_status(adapted).merged_adapters == ["default"]


def test_configuration_survives_its_own_file(tmp_path):
    config(base_model_name_or_path="org/base").save_pretrained(tmp_path)
    again = SteeringAdapterConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config(base_model_name_or_path="org/base").to_dict()


def test_conversion_to_a_lora_is_said_not_to_be_supported(adapted):
    """What is added hangs on the input: no pair of matrices gives it."""
    assert not adapted.supports_lora_conversion()

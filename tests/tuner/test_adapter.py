"""The calls that users know from a LoRA, on a plain transformers model and on a PeftModel."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys

import pytest
import torch
from accelerate import disk_offload
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from hf_eraser import SteeringAdapterConfig, SteeringModel
from hf_eraser.tuner.layer import SteeringLayer
from tests.helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits


@pytest.fixture
def case(untaught):
    """A model, its inputs, and its logits before anything was attached."""
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    return model, inputs, logits(model, inputs)


def classes(model: torch.nn.Module) -> list[type]:
    return [type(module) for module in model.modules()]


def test_fresh_adapter_changes_nothing(case):
    model, inputs, base = case
    model.add_adapter(SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))
    assert model.active_adapters() == ["default"]
    assert torch.equal(logits(model, inputs), base)


def test_attaching_keeps_class_names_and_parameter_names(case):
    model, _, _ = case
    names = set(model.state_dict())
    before = [(cls.__module__, cls.__qualname__) for cls in classes(model)]
    attach(model)
    steering = {name for name in model.state_dict() if "steering_" in name}
    assert set(model.state_dict()) - steering == names
    kept = [(type(m).__module__, type(m).__qualname__) for n, m in model.named_modules() if "steering_" not in n]
    assert kept == before


def test_adapter_attaches_to_the_text_decoder_and_never_to_the_vision_tower(case):
    model, _, _ = case
    attach(model, layers_to_transform=None, gate_layer=None)
    steered = [name for name, module in model.named_modules() if isinstance(module, SteeringLayer)]
    assert len(steered) == model.config.get_text_config().num_hidden_layers
    assert all("language_model" in name for name in steered)


def test_base_weights_keep_their_bytes_through_everything(case, tmp_path):
    model, inputs, _ = case
    before = fingerprint(model)
    attach(model)
    logits(model, inputs)
    assert fingerprint(model) == before
    with model.disable_adapter():
        assert fingerprint(model) == before
    model.save_pretrained(tmp_path)
    model.delete_adapter("default")
    assert fingerprint(model) == before
    peft_model = PeftModel.from_pretrained(model, tmp_path)
    peft_model.merge_adapter()
    assert fingerprint(peft_model) == before
    peft_model.unmerge_adapter()
    assert fingerprint(peft_model.unload()) == before


@pytest.mark.parametrize("kind", ["plain", "peft"])
def test_disable_adapter_works_as_a_statement_and_in_with(case, kind):
    model, inputs, base = case
    if kind == "peft":
        model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[5], gate_layer=1), "other")
    attach(model)
    enable = model.enable_adapters if kind == "plain" else model.enable_adapter_layers
    disable = model.disable_adapters if kind == "plain" else model.disable_adapter_layers
    steered = logits(model, inputs)
    assert not torch.equal(steered, base)
    with model.disable_adapter():
        assert torch.equal(logits(model, inputs), base)
    assert torch.equal(logits(model, inputs), steered)
    model.disable_adapter()
    assert torch.equal(logits(model, inputs), base)
    with model.disable_adapter():
        pass
    assert torch.equal(logits(model, inputs), base)  # it was off before the block
    enable()
    assert torch.equal(logits(model, inputs), steered)
    disable()
    assert torch.equal(logits(model, inputs), base)


def test_adapter_is_on_again_after_an_exception_in_the_block(case):
    model, inputs, _ = case
    attach(model)
    steered = logits(model, inputs)
    with pytest.raises(KeyboardInterrupt), model.disable_adapter():
        raise KeyboardInterrupt
    assert torch.equal(logits(model, inputs), steered)


def test_saved_adapter_loads_into_a_new_model(case, fresh, tmp_path):
    model, inputs, base = case
    new = fresh(model)
    attach(model, strength=0.7, readout="image", steer_decode=False)
    steered = logits(model, inputs)
    model.save_pretrained(tmp_path)
    assert not [file for file in os.listdir(tmp_path) if file.endswith((".bin", ".pt", ".pkl"))]
    info = new.load_adapter(tmp_path)
    assert not info.missing_keys
    assert torch.equal(logits(new, inputs), steered)
    new.delete_adapter("default")
    assert torch.equal(logits(new, inputs), base)


def test_peft_model_loads_what_a_plain_model_saved_and_the_other_way_round(case, fresh, tmp_path):
    model, inputs, _ = case
    plain, other = fresh(model), fresh(model)
    attach(model)
    steered = logits(model, inputs)
    model.save_pretrained(tmp_path / "plain")
    peft_model = PeftModel.from_pretrained(plain, tmp_path / "plain")
    assert torch.equal(logits(peft_model, inputs), steered)
    peft_model.save_pretrained(tmp_path / "peft")
    other.load_adapter(tmp_path / "peft")
    assert torch.equal(logits(other, inputs), steered)
    plain_file, peft_file = (load_file(tmp_path / kind / "adapter_model.safetensors") for kind in ("plain", "peft"))
    assert plain_file.keys() == peft_file.keys()
    assert all(torch.equal(plain_file[key], peft_file[key]) for key in plain_file)


def test_adapter_file_holds_the_documented_tensors_in_float32(case, tmp_path):
    model, _, _ = case
    attach(model, rank=2)
    model.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    width = model.config.get_text_config().hidden_size
    shapes = {name.split(".layers.")[1]: tuple(tensor.shape) for name, tensor in tensors.items()}
    assert shapes == {
        "1.steering_gate_weight": (2, 2, width),
        "1.steering_gate_bounds": (2, 2, 2),
        "2.steering_direction": (2, width),
        "4.steering_direction": (2, width),
    }
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


def test_all_three_loading_paths_give_the_same_logits_in_a_new_process(case, tmp_path):
    model, inputs, _ = case
    model.save_pretrained(tmp_path / "base")
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "base").eval()
    attach(loaded)
    steered = logits(loaded, inputs)
    loaded.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    torch.save((inputs, steered), tmp_path / "expected.pt")
    script = """
import sys, torch, hf_eraser
from peft import PeftModel
from transformers import AutoModelForImageTextToText as Auto
folder = sys.argv[1]
inputs, expected = torch.load(folder + "/expected.pt", weights_only=True)
plain = Auto.from_pretrained(folder + "/base").eval()
plain.load_adapter(folder + "/adapter")
wrapped = PeftModel.from_pretrained(Auto.from_pretrained(folder + "/base").eval(), folder + "/adapter")
direct = Auto.from_pretrained(folder + "/adapter").eval()
assert "hf_eraser.fitting" not in sys.modules and "hf_eraser.data" not in sys.modules
with torch.no_grad():
    print([torch.equal(model(**inputs).logits, expected) for model in (plain, wrapped, direct)])
"""
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=os.getcwd(), check=False
    )
    assert result.stdout.strip().endswith("[True, True, True]"), result.stderr


def test_set_adapter_switches_between_adapters_and_takes_a_list(case):
    model, inputs, base = case
    attach(model, "one", seed=1, low=-1e3, high=-1e2)
    one = logits(model, inputs)
    attach(model, "two", seed=2, low=-1e3, high=-1e2, layers_to_transform=[3], gate_layer=0)
    two = logits(model, inputs)
    assert model.active_adapters() == ["two"]
    model.set_adapter("one")
    assert torch.equal(logits(model, inputs), one)
    model.set_adapter(["one", "two"])
    both = logits(model, inputs)
    assert not torch.equal(both, one)
    assert not torch.equal(both, two)
    model.delete_adapter("one")
    assert model.active_adapters() == ["two"]
    assert torch.equal(logits(model, inputs), two)
    model.delete_adapter("two")
    assert torch.equal(logits(model, inputs), base)


def test_second_adapter_leaves_the_first_one_s_tensors_alone(case, tmp_path, caplog):
    model, inputs, _ = case
    attach(model, "first")
    first = logits(model, inputs)
    model.save_pretrained(tmp_path)
    base = fingerprint(model)
    # "b" occurs in "bias" and "embed": transformers takes those for the adapter's by name.
    info = model.load_adapter(tmp_path, adapter_name="b")
    assert not info.missing_keys
    assert "MISSING" not in caplog.text
    assert fingerprint(model) == base
    assert torch.equal(logits(model, inputs), first)
    model.set_adapter("first")
    assert torch.equal(logits(model, inputs), first)


def test_get_adapter_state_dict_gives_the_tensors_of_one_adapter(case):
    model, _, _ = case
    tensors = attach(model, "one", seed=1)
    attach(model, "two", seed=2)
    state = model.get_adapter_state_dict("one")
    assert {f"base_model.model.{name}" for name in state} == set(tensors)
    assert all(torch.equal(state[name.removeprefix("base_model.model.")], value) for name, value in tensors.items())


def test_deleting_the_last_adapter_gives_the_classes_back(case):
    model, inputs, base = case
    before, modules = classes(model), list(model.modules())
    attach(model)
    attach(model, "other", layers_to_transform=[0], gate_layer=None)
    model.delete_adapter(["default", "other"])
    assert classes(model) == before
    assert all(a is b for a, b in zip(model.modules(), modules))
    assert torch.equal(logits(model, inputs), base)
    attach(model)


def test_unload_gives_the_very_modules_and_classes_back(case):
    model, inputs, base = case
    before, modules = classes(model), list(model.modules())
    peft_model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))
    attach(peft_model, "other")
    unloaded = peft_model.unload()
    assert unloaded is model
    assert classes(model) == before
    assert all(a is b for a, b in zip(model.modules(), modules))
    assert torch.equal(logits(model, inputs), base)
    assert "peft_config" not in vars(model)


def test_peft_model_adds_switches_and_deletes_adapters(case, tmp_path):
    model, inputs, base = case
    peft_model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1), "first")
    assert isinstance(peft_model.base_model, SteeringModel)
    assert torch.equal(logits(peft_model, inputs), base)
    attach(peft_model, "second")
    second = logits(peft_model, inputs)
    peft_model.save_pretrained(tmp_path, selected_adapters=["second"])
    peft_model.load_adapter(tmp_path / "second")  # "default", as on a plain model
    peft_model.set_adapter("default")
    assert torch.equal(logits(peft_model, inputs), second)
    peft_model.delete_adapter("second")
    assert torch.equal(logits(peft_model, inputs), second)
    peft_model.set_adapter("first")
    assert torch.equal(logits(peft_model, inputs), base)


def test_merge_adapter_folds_the_active_adapters_with_the_same_result(case):
    model, inputs, _ = case
    model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))
    for seed, name in enumerate(("a1", "a2", "a3")):
        attach(model, name, seed=seed, low=-3.0, high=3.0, strength=0.3 * (seed + 1))
    model.base_model.set_adapter(["a1", "a2", "a3"])
    expected = logits(model, inputs)
    model.merge_adapter()
    torch.testing.assert_close(logits(model, inputs), expected, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="unmerge_adapter"):
        model.delete_adapter("a1")
    model.unmerge_adapter()
    assert torch.equal(logits(model, inputs), expected)


def test_merge_and_unload_says_what_to_call_instead(case):
    model, _, _ = case
    model = get_peft_model(model, SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))
    with pytest.raises(NotImplementedError, match=r"unload\(\)"):
        model.merge_and_unload()


@pytest.mark.parametrize("cast", [lambda m: m.to(torch.bfloat16), lambda m: m.half(), lambda m: m.bfloat16().double()])
def test_adapter_stays_float32_when_the_model_is_cast(case, cast):
    model, _, _ = case
    tensors = attach(model)
    state = cast(model).get_adapter_state_dict()
    assert all(torch.equal(state[name.removeprefix("base_model.model.")], value) for name, value in tensors.items())


def test_adapter_stays_float32_when_loaded_into_a_bfloat16_model(case, tmp_path):
    model, inputs, _ = case
    model.save_pretrained(tmp_path / "base")
    model.name_or_path = str(tmp_path / "base")
    tensors = attach(model)
    model.save_pretrained(tmp_path / "adapter")
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "adapter", dtype=torch.bfloat16)
    assert loaded.dtype == torch.bfloat16
    state = loaded.get_adapter_state_dict()
    assert all(torch.equal(state[name.removeprefix("base_model.model.")], value) for name, value in tensors.items())
    logits(loaded, {k: v.bfloat16() if v.is_floating_point() else v for k, v in inputs.items()})


def test_deepcopy_and_pickle_keep_the_adapter(untaught):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    attach(model)
    pickled = pickle.dumps(model)  # before a forward pass, whose hooks of transformers' own cannot be pickled
    steered = logits(model, inputs)
    with model.disable_adapter():
        base = logits(model, inputs)
    for copied in (copy.deepcopy(model), pickle.loads(pickled)):
        assert torch.equal(logits(copied, inputs), steered)
        copied.delete_adapter("default")
        assert torch.equal(logits(copied, inputs), base)
    assert torch.equal(logits(model, inputs), steered)


def test_lora_after_steering_gets_all_its_targets_and_keeps_to_its_own_tensors(case):
    model, inputs, base = case
    attach(model)
    steered = logits(model, inputs)
    model.add_adapter(LoraConfig(target_modules=["q_proj", "v_proj"], r=2, init_lora_weights=True), "lora")
    depth = model.config.get_text_config().num_hidden_layers
    targets = {name for name, _ in model.named_modules() if name.endswith(("q_proj", "v_proj")) and "language" in name}
    assert len(targets) == 2 * depth
    assert all(hasattr(model.get_submodule(name), "lora_A") for name in targets)
    assert torch.equal(logits(model, inputs), base)  # the LoRA alone is active, and fresh
    model.set_adapter(["default", "lora"])
    assert torch.equal(logits(model, inputs), steered)
    assert all("lora_" in name for name in model.get_adapter_state_dict("lora"))
    assert all("steering_" in name for name in model.get_adapter_state_dict("default"))


def test_base_checkpoint_loads_with_an_adapter_attached(case):
    model, inputs, _base = case
    state = {name: value.clone() for name, value in model.state_dict().items()}
    attach(model)
    steered = logits(model, inputs)
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    assert torch.equal(logits(model, inputs), steered)


def test_adapter_of_a_model_of_width_576_is_under_64_kib(tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 576, "intermediate_size": 64, "num_hidden_layers": 6, "num_attention_heads": 9}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, **shape))
    model.add_adapter(SteeringAdapterConfig(layers_to_transform=[2, 3, 4, 5], gate_layer=1))
    model.save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    assert file.stat().st_size < 64 * 1024
    assert file.read_bytes()[8:9] == b"{"  # safetensors: a JSON header, no pickle
    assert load_file(file)


BROKEN = {
    "nan": lambda tensors, key: tensors[key].fill_(torch.nan),
    "infinite": lambda tensors, key: tensors[key].fill_(torch.inf),
    "missing": lambda tensors, key: tensors.pop(key),
    "unknown": lambda tensors, key: tensors.update({key.replace("direction", "nonsense"): torch.ones(1)}),
    "wider": lambda tensors, key: tensors.update({key: torch.ones(1, 7)}),
}


@pytest.mark.parametrize("how", sorted(BROKEN))
def test_broken_adapter_is_refused_and_leaves_the_model_as_it_was(case, how, tmp_path):
    model, inputs, base = case
    before = classes(model)
    attach(model)
    model.save_pretrained(tmp_path)
    model.delete_adapter("default")
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    BROKEN[how](tensors, next(key for key in tensors if key.endswith("direction")))
    save_file(tensors, file)
    for load in (
        lambda: model.load_adapter(tmp_path),
        lambda: PeftModel.from_pretrained(model, tmp_path),
    ):
        with pytest.raises((ValueError, RuntimeError), match=r"steering_|adapter"):
            load()
        assert classes(model) == before
        assert not model._hf_peft_config_loaded
        assert not hasattr(model, "peft_config")
        assert torch.equal(logits(model, inputs), base)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 64}, "hidden_size=64"),
        ({"num_hidden_layers": 12}, "num_hidden_layers=12"),
        ({"layers_to_transform": [2, 40]}, "layer 40"),
        ({"layers_to_transform": [0]}, "comes before"),
    ],
)
def test_adapter_for_another_base_model_is_refused(case, change, message, tmp_path):
    model, inputs, base = case
    before = classes(model)
    attach(model)
    model.save_pretrained(tmp_path)
    model.delete_adapter("default")
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    for load in (
        lambda: model.load_adapter(tmp_path),
        lambda: PeftModel.from_pretrained(model, tmp_path),
    ):
        with pytest.raises(ValueError, match=message):
            load()
        assert classes(model) == before
        assert not model._hf_peft_config_loaded
        assert torch.equal(logits(model, inputs), base)


def test_failed_second_adapter_keeps_the_first(case):
    model, inputs, _ = case
    attach(model)
    steered = logits(model, inputs)
    with pytest.raises(ValueError, match="layer 99"):
        model.add_adapter(SteeringAdapterConfig(layers_to_transform=[99]), "second")
    assert model.active_adapters() == ["default"]
    assert set(model.peft_config) == {"default"}
    assert torch.equal(logits(model, inputs), steered)


def test_model_whose_forward_was_replaced_is_refused(llava):
    model, _ = llava
    model.forward = torch.compile(model.forward, backend="eager")
    with pytest.raises(ValueError, match="Attach the adapter first"):
        model.add_adapter(SteeringAdapterConfig(layers_to_transform=[2]))


def test_adapter_acts_on_a_model_with_offloaded_layers(case, fresh, tmp_path):
    model, inputs, base = case
    model.save_pretrained(tmp_path / "base")
    attached = fresh(model)
    attach(attached)
    steered = logits(attached, inputs)
    attached.save_pretrained(tmp_path / "adapter")
    language_model = model.model.language_model
    device_map = {"lm_head": "cpu"}
    device_map |= {f"model.{name}": "cpu" for name, _ in model.model.named_children() if name != "language_model"}
    device_map |= {f"model.language_model.{name}": "cpu" for name, _ in language_model.named_children()}
    del device_map["model.language_model.layers"]
    # Layer 1 reads the gate and 2 is steered; both are on disk.
    for i in range(len(language_model.layers)):
        device_map[f"model.language_model.layers.{i}"] = "disk" if i in (1, 2) else "cpu"
    offloaded = AutoModelForImageTextToText.from_pretrained(
        tmp_path / "base", device_map=device_map, offload_folder=tmp_path / "offload"
    ).eval()
    assert any(parameter.is_meta for parameter in offloaded.parameters())
    offloaded.load_adapter(tmp_path / "adapter")
    assert offloaded.hf_device_map == device_map
    assert torch.equal(logits(offloaded, inputs), steered)
    with offloaded.disable_adapter():
        assert torch.equal(logits(offloaded, inputs), base)
    offloaded.delete_adapter("default")
    assert torch.equal(logits(offloaded, inputs), base)


def test_adapter_that_is_offloaded_with_its_model_acts_and_is_saved(case, tmp_path):
    model, inputs, _ = case
    tensors = attach(model)
    steered = logits(model, inputs)
    disk_offload(model, tmp_path / "offload", execution_device=torch.device("cpu"))
    assert torch.equal(logits(model, inputs), steered)
    state = model.get_adapter_state_dict()
    assert all(torch.equal(state[name.removeprefix("base_model.model.")], value) for name, value in tensors.items())

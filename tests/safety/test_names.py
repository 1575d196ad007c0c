"""Adapter names and small things: one clear line, or it works."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import nn

from hf_eraser.cards import check_adapter_folder, push_adapter_folder
from hf_eraser.hub.inspection import inspect_adapter
from hf_eraser.tuner.switching import Switch
from hf_eraser.tuner.tensors import SteeringTensors
from tests.conftest import built
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


REFUSED = [
    *("merge", "keys", "training", "forward", "tensors", "_parameters", "merged_adapters", "__class__", "__init__"),
    *("a.b", "..", "", " ", "a/b", "/etc", "a\\b", "a\nb", "\x1b[2K", "a\u202eb", "x" * 300, 3),
    *("model", "language_model", "layers", "steering_direction", "__base__", "base_layer", "base_model"),
]


@pytest.mark.parametrize("name", REFUSED)
def test_name_that_cannot_be_one_is_refused_in_one_line_and_leaves_the_model(name, good):
    for load in (
        lambda model: model.load_adapter(good, adapter_name=name),
        lambda model: PeftModel.from_pretrained(model, good, adapter_name=name),
    ):
        model = built("llava")[0]
        types = [type(module) for module in model.modules()]
        with pytest.raises(ValueError, match="`adapter_name`") as caught:
            load(model)
        assert len(str(caught.value).splitlines()) == 1
        assert [type(module) for module in model.modules()] == types
        assert not model._hf_peft_config_loaded
        model.load_adapter(good)
        assert model.active_adapters() == ["default"]


def test_every_attribute_of_what_holds_tensors_is_refused():
    """Whatever versions of PyTorch and PEFT add to it."""
    model = built("llava")[0]
    attach(model)
    # PEFT has the two as properties, which here raise an `AttributeError`: they are free.
    names = {*dir(SteeringTensors(Switch())), *vars(nn.Module())} - {"weight", "bias"}
    from hf_eraser.tuner.adapter_name import check_adapter_name

    for name in names:
        with pytest.raises(ValueError, match="`adapter_name`"):
            check_adapter_name(name, [])


@pytest.mark.parametrize("name", ["weight", "bias", "self", "m", "2", "q_proj", "self_attn", "ö ä", "steering_"])
def test_other_names_work_and_are_saved(name, good, tmp_path):
    model, processor = built("llava")
    inputs = batch_of(model, processor, PROMPTS)
    model.load_adapter(good)
    expected = logits(model, inputs)
    other = built("llava")[0]
    other.load_adapter(good, adapter_name=name)
    assert torch.equal(logits(other, inputs), expected)
    other.save_pretrained(tmp_path)
    again = built("llava")[0]
    again.load_adapter(tmp_path)
    assert torch.equal(logits(again, inputs), expected)


def with_config(good: Path, tmp_path: Path, **values: object) -> Path:
    folder = tmp_path / "adapter"
    shutil.copytree(good, folder)
    path = folder / "adapter_config.json"
    config = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({key: value for key, value in config.items() if value != "gone"}))
    return folder


@pytest.mark.filterwarnings("ignore:.*holds keys that this version")
@pytest.mark.parametrize("key", ["self", "cls", "kwargs", "__class__", "peft_config", "args"])
def test_key_that_is_the_name_of_an_argument_is_ignored_as_any_other(key, good, tmp_path):
    folder = with_config(good, tmp_path, **{key: 1})
    model = built("llava")[0]
    model.load_adapter(folder)
    PeftModel.from_pretrained(built("llava")[0], folder)
    inspect_adapter(folder)


@pytest.mark.parametrize("kind", ["gone", None, 7, ["STEERING"], "steering", ""])
def test_missing_or_odd_type_is_one_line(kind, good, tmp_path):
    folder = with_config(good, tmp_path, peft_type=kind)
    for load in (
        lambda: built("llava")[0].load_adapter(folder),
        lambda: PeftModel.from_pretrained(built("llava")[0], folder),
        lambda: inspect_adapter(folder),
        lambda: check_adapter_folder(folder),
    ):
        with pytest.raises(ValueError, match=r"peft_type|is not the configuration of a steering adapter"):
            load()


def test_push_of_an_adapter_that_lacks_its_base_s_name_says_what_to_do(good, tmp_path, hub):
    folder = with_config(good, tmp_path, base_model_name_or_path="gone")
    with pytest.warns(UserWarning, match="does not name its base model.*base_model_name_or_path"):
        push_adapter_folder(folder, "org/forget", token=hub.token)
    assert "adapter_config.json" in hub.files("org/forget")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: x")])
def test_full_disk_is_an_os_error_that_names_the_folder(error, good, tmp_path, monkeypatch):
    shutil.copytree(good, tmp_path / "adapter")
    before = {path.name: path.read_bytes() for path in (tmp_path / "adapter").iterdir()}
    model = built("llava")[0]
    attach(model, seed=3)

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("transformers.modeling_utils.safe_save_file", fail)
    with pytest.raises(OSError, match="adapter"):
        model.save_pretrained(tmp_path / "adapter")
    assert {name: (tmp_path / "adapter" / name).read_bytes() for name in os.listdir(tmp_path / "adapter")} == before

"""What a process that only loads an adapter imports, and that an adapter of an earlier version loads as ever."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from hf_eraser import SteeringAdapterConfig
from hf_eraser.fitting.steering.attaching import attach_fitted
from tests.helpers.adapters import attach


BEFORE_ROOMS = Path(__file__).parent / "adapters" / "of_0.1.0.dev0"

LOADING = """
import importlib.abc, json, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("PIL", "matplotlib", "gradio"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
import torch
import hf_eraser
from transformers import LlamaForCausalLM

model = LlamaForCausalLM.from_pretrained(sys.argv[1]).eval()
model.load_adapter(sys.argv[2])
with torch.no_grad():
    logits = model(input_ids=torch.arange(1, 8)[None]).logits
torch.save(logits, sys.argv[3])
print(json.dumps([name for name in sys.modules if name.startswith("hf_eraser.")]))
"""


@pytest.fixture
def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2
    )
    return LlamaForCausalLM(config).eval()


def test_an_adapter_loads_and_steers_without_pillow_matplotlib_gradio_and_what_fits(llama, tmp_path):
    llama.save_pretrained(tmp_path / "base")
    attach(llama, layers_to_transform=[2, 3], gate_layer=1, gate="always")
    llama.save_pretrained(tmp_path / "adapter")
    with torch.no_grad():
        steered = llama(input_ids=torch.arange(1, 8)[None]).logits
        with llama.disable_adapter():
            base = llama(input_ids=torch.arange(1, 8)[None]).logits
    paths = [str(tmp_path / name) for name in ("base", "adapter", "logits.pt")]
    result = subprocess.run([sys.executable, "-c", LOADING, *paths], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert torch.equal(torch.load(tmp_path / "logits.pt"), steered)
    assert not torch.equal(steered, base)
    rooms = {name.split(".")[1] for name in json.loads(result.stdout)}
    assert rooms == {"tuner", "hub", "registration", "version"}


@pytest.mark.parametrize("path", ["plain", "PeftModel", "AutoModel"])
def test_an_adapter_that_was_saved_before_there_were_rooms_loads_bit_for_bit(llama, path, tmp_path):
    """Saved by 0.1.0.dev0, at the last commit whose package had no rooms."""
    saved = load_file(BEFORE_ROOMS / "adapter_model.safetensors")
    llama.save_pretrained(tmp_path / "base")
    inputs = torch.arange(1, 8)[None]
    with torch.no_grad():
        base = llama(input_ids=inputs).logits
    shutil.copytree(BEFORE_ROOMS, tmp_path / "adapter")
    values = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    values["base_model_name_or_path"] = str(tmp_path / "base")
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(values))

    def new() -> LlamaForCausalLM:
        return LlamaForCausalLM.from_pretrained(tmp_path / "base").eval()

    if path == "plain":
        model = new()
        model.load_adapter(str(tmp_path / "adapter"))
    elif path == "PeftModel":
        model = PeftModel.from_pretrained(new(), tmp_path / "adapter")
    else:
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "adapter").eval()
    loaded = get_peft_model_state_dict(model, adapter_name="default")
    assert {name.removeprefix("base_model.model.") for name in loaded} == {
        name.removeprefix("base_model.model.") for name in saved
    }
    for name, tensor in loaded.items():
        assert torch.equal(tensor, saved["base_model.model." + name.removeprefix("base_model.model.")])

    attached = new()
    config = SteeringAdapterConfig.from_pretrained(tmp_path / "adapter")
    attach_fitted(attached, config, saved, "default")
    with torch.no_grad():
        expected, logits = (one(input_ids=inputs).logits for one in (attached, model))
    assert torch.equal(logits, expected)
    assert not torch.equal(logits, base)


def test_every_package_is_in_the_wheel():
    root = Path(__file__).parents[1]
    folders = {path.parent.relative_to(root).as_posix() for path in (root / "hf_eraser").rglob("__init__.py")}
    listed = (root / "pyproject.toml").read_text().partition("packages = [")[2].partition("]")[0]
    named = {name.strip(' "\n').replace(".", "/") for name in listed.split(",") if name.strip()}
    assert named == folders | {"hf_eraser/hub_cards", "hf_eraser/hub_cards/use_cases"}


def test_lowest_versions_are_those_that_are_declared():
    tomllib = pytest.importorskip("tomllib")
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *(one for extra in ("app", "data", "report", "test") for one in extras[extra])]
    declared = dict(one.lower().split(">=") for one in asked if ">=" in one)
    lines = (root / "tests" / "lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert declared.keys() == lowest.keys()
    for name, version in declared.items():
        assert re.fullmatch(re.escape(version) + r"(\.0)*", lowest[name]), name


SERVING = """
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("peft", "transformers", "accelerate"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
# As vLLM imports a plug-in.
exec(compile("import hf_eraser.serving.plug_in", "plugins", "exec"), {"__name__": "vllm.plugins"})
from hf_eraser.serving import layers, server
from hf_eraser.serving.adapters import BaseModel, read_served

adapter = read_served("a", sys.argv[1], BaseModel("base", "llama", 16, 4, "float32"))
print(adapter.steered_layers, adapter.gate_layers_of(False), sorted(adapter.tensors[2]))
"""


def test_a_server_reads_an_adapter_where_there_is_neither_peft_nor_transformers_nor_accelerate(llama, tmp_path):
    attach(llama, layers_to_transform=[2, 3], gate_layer=1, positions="last", steer_decode=False)
    llama.save_pretrained(tmp_path / "adapter")
    command = [sys.executable, "-c", SERVING, str(tmp_path / "adapter")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.strip() == "[2, 3] [1] ['steering_direction']"

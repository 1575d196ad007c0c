"""What importing the package changes in PEFT and transformers is known, is on a page, and is for steering alone."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import AutoModelForImageTextToText, PreTrainedModel

from examples.small.models import BUILDERS
from hf_eraser.registration import register


ROOT = Path(__file__).parents[2]

PAGE = ROOT / "docs" / "inside" / "patches.md"

# What each patched function takes by itself, and which of that may be left out ("="): the same in peft 0.21.0 to
# 0.21.2 and in transformers 5.20.0 to 5.24.0.
PARAMETERS = {
    "transformers.integrations.peft.PeftAdapterMixin.add_adapter": "(self, adapter_config, adapter_name=)",
    "transformers.integrations.peft.PeftAdapterMixin.load_adapter": (
        "(self, peft_model_id=, adapter_name=, peft_config=, adapter_state_dict=, low_cpu_mem_usage=, is_trainable=, "
        "hotswap=, local_files_only=, adapter_kwargs=, load_config=, **kwargs)"
    ),
    "transformers.integrations.peft.find_adapter_config_file": (
        "(model_id, cache_dir=, force_download=, proxies=, token=, revision=, local_files_only=, subfolder=)"
    ),
    "transformers.models.auto.auto_factory.find_adapter_config_file": (
        "(model_id, cache_dir=, force_download=, proxies=, token=, revision=, local_files_only=, subfolder=)"
    ),
    "transformers.pipelines.find_adapter_config_file": (
        "(model_id, cache_dir=, force_download=, proxies=, token=, revision=, local_files_only=, subfolder=)"
    ),
    "transformers.modeling_utils.PreTrainedModel._load_pretrained_model": (
        "(model, state_dict, checkpoint_files, load_config, expected_keys=)"
    ),
    "peft.auto._BaseAutoPeftModel.from_pretrained": (
        "(cls, pretrained_model_name_or_path, adapter_name=, is_trainable=, config=, revision=, import_allowlist=, "
        "**kwargs)"
    ),
    "peft.peft_model.PeftModel.from_pretrained": (
        "(cls, model, model_id, adapter_name=, is_trainable=, config=, autocast_adapter_dtype=, "
        "ephemeral_gpu_offload=, low_cpu_mem_usage=, key_mapping=, **kwargs)"
    ),
    "peft.peft_model.PeftModel.load_adapter": (
        "(self, model_id, adapter_name, is_trainable=, torch_device=, autocast_adapter_dtype=, "
        "ephemeral_gpu_offload=, low_cpu_mem_usage=, key_mapping=, **kwargs)"
    ),
    "peft.peft_model.load_peft_weights": "(model_id, device=, key_mapping=, **hf_hub_download_kwargs)",
    "peft.peft_model.PeftModel.save_pretrained": (
        "(self, save_directory, safe_serialization=, selected_adapters=, save_embedding_layers=, is_main_process=, "
        "path_initial_model_for_weight_conversion=, **kwargs)"
    ),
    "peft.peft_model.PeftModel.push_to_hub": (
        "(self, repo_id, *, commit_message=, commit_description=, private=, token=, revision=, create_pr=, "
        "max_shard_size=, tags=)"
    ),
    "peft.peft_model.PeftModel.disable_adapter": "(self)",
    "peft.peft_model.PeftModel.delete_adapter": "(self, adapter_name)",
    "peft.peft_model.PeftModel.active_peft_config": "(self)",
    "peft.peft_model.PeftModel.has_active_enabled_adapter": "(self)",
}


def found(name: str) -> tuple[Any, str, Any]:
    """The module or class that holds a function, the function's name there, and what is there."""
    path, _, attribute = name.rpartition(".")
    owner = pkgutil.resolve_name(path)
    return owner, attribute, inspect.getattr_static(owner, attribute)


def taken_apart(name: str) -> tuple[list[Any], Any]:
    """The functions of this package that are around a function, outermost first, and the function itself."""
    function = found(name)[2]
    if isinstance(function, (classmethod, staticmethod)):
        function = function.__func__
    if isinstance(function, property):
        function = function.fget
    ours = []
    while function.__globals__["__name__"].startswith("hf_eraser."):
        ours.append(function)
        function = function.__wrapped__
    return ours, function


def parameters(function: Any) -> str:
    taken = inspect.signature(function).parameters.values()
    bare = [p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else ...) for p in taken]
    return str(inspect.Signature(bare)).replace("=Ellipsis", "=")


@pytest.mark.parametrize("name", PARAMETERS)
def test_patched_function_takes_what_it_took_when_the_patch_was_written(name):
    ours, original = taken_apart(name)
    assert ours, f"{name} is not patched."
    modules = sorted({function.__globals__["__name__"] for function in ours})
    assert parameters(original) == PARAMETERS[name], (
        f"{name} takes other arguments in PEFT {version('peft')} or transformers {version('transformers')}. See "
        f"whether {' and '.join(modules)} still do right by it, and whether {PAGE.relative_to(ROOT)} still says what "
        "is so; then note here what it takes."
    )


# Prints which functions of other libraries are not what they were before the import.
_CHANGED_BY_THE_IMPORT = """
import inspect, json, sys
import peft, transformers.integrations.peft, transformers.modeling_utils, transformers.models.auto.auto_factory

def functions():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("hf_eraser") or not inspect.ismodule(module):
            continue
        values = dict(vars(module))
        classes = [value for value in values.values() if isinstance(value, type) and value.__module__ == name]
        for owner, held in [(name, values), *((f"{name}.{cls.__qualname__}", dict(vars(cls))) for cls in classes)]:
            for attribute, value in held.items():
                if isinstance(value, (classmethod, staticmethod)):
                    value = value.__func__
                if isinstance(value, property):
                    value = value.fget
                if inspect.isfunction(value):
                    found[f"{owner}.{attribute}"] = value
    return found

before = functions()
import hf_eraser
print(json.dumps([
    name
    for name, function in functions().items()
    if before.get(name, function) is not function or function.__globals__.get("__name__", "").startswith("hf_eraser")
]))
"""


def test_page_names_each_function_that_is_changed_and_no_other():
    run = subprocess.run([sys.executable, "-c", _CHANGED_BY_THE_IMPORT], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    changed = json.loads(run.stdout)
    section = PAGE.read_text(encoding="utf-8").partition("\n## Patched functions\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^### `(.+)`$", section, flags=re.MULTILINE)) == sorted(changed)
    assert sorted(PARAMETERS) == sorted(changed)


def test_registering_again_wraps_nothing_again():
    before = [found(name)[2] for name in PARAMETERS]
    register()
    assert [found(name)[2] for name in PARAMETERS] == before
    for name in PARAMETERS:
        ours, _ = taken_apart(name)
        assert len({function.__code__ for function in ours}) == len(ours), f"{name} is wrapped twice."


@contextmanager
def without_patches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in PARAMETERS:
            owner, attribute, patched = found(name)
            original = taken_apart(name)[1]
            if isinstance(patched, (classmethod, staticmethod, property)):
                original = type(patched)(original)
            patch.setattr(owner, attribute, original)
        yield


@contextmanager
def reported() -> Iterator[list[str]]:
    """What transformers reports of the adapters that it loads."""
    logger, messages = logging.getLogger("transformers.integrations.peft"), []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreTrainedModel, Path]:
    """A base model, and a folder: a LoRA in `lora`, which names the base in `base`; one of a wrong rank in `wrong`."""
    folder = tmp_path_factory.mktemp("folders")
    torch.manual_seed(0)
    model, _ = BUILDERS["llava"]()
    model.eval().save_pretrained(folder / "base")
    config = LoraConfig(target_modules=["q_proj"], r=2, init_lora_weights=False)
    get_peft_model(copy.deepcopy(model), config).save_pretrained(folder / "lora")
    rewrite(folder / "lora", base_model_name_or_path=str(folder / "base"))
    shutil.copytree(folder / "lora", folder / "wrong")
    rewrite(folder / "wrong", r=4)
    return model, folder


def rewrite(folder: Path, **changes: Any) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def outputs(model: nn.Module) -> Tensor:
    with torch.inference_mode():
        return model(input_ids=torch.arange(8, 16)[None]).logits


def added_and_loaded(model: Any, folder: Path) -> tuple[nn.Module, list[Any]]:
    model.add_adapter(LoraConfig(target_modules=["v_proj"], r=2), "fresh")
    return model, [model.load_adapter(folder / "lora", adapter_name="loaded"), model.set_adapter("loaded")]


def loaded_by_peft(model: Any, folder: Path) -> tuple[nn.Module, list[Any]]:
    peft_model = PeftModel.from_pretrained(model, folder / "lora")
    return peft_model, [peft_model.load_adapter(folder / "lora", "second")]


def loaded_with_its_base(model: Any, folder: Path) -> tuple[nn.Module, list[Any]]:
    loaded, info = AutoModelForImageTextToText.from_pretrained(folder / "lora", output_loading_info=True)
    return loaded, [info]


def loaded_with_its_base_by_class(model: Any, folder: Path) -> tuple[nn.Module, list[Any]]:
    loaded, info = type(model).from_pretrained(folder / "lora", output_loading_info=True)
    return loaded, [info]


@pytest.mark.parametrize(
    "load", [added_and_loaded, loaded_by_peft, loaded_with_its_base, loaded_with_its_base_by_class]
)
def test_lora_loads_acts_and_is_saved_as_without_the_patches(folders, load, tmp_path):
    base, folder = folders
    results = []
    for kind in (nullcontext, without_patches):
        torch.manual_seed(1)
        with kind(), reported() as reports:
            model, said = load(copy.deepcopy(base), folder)
            acting = outputs(model)
            model.save_pretrained(tmp_path / kind.__name__)
            with model.disable_adapter() if isinstance(model, PeftModel) else nullcontext():
                off = outputs(model)
        saved = {path.name: path.read_bytes() for path in (tmp_path / kind.__name__).glob("adapter_*")}
        results.append(({"said": said, "reports": reports, "saved": saved}, model.state_dict(), acting, off))
    (ours, our_state, *our_outputs), (theirs, their_state, *their_outputs) = results
    assert ours == theirs
    assert ours["saved"].keys() == {"adapter_config.json", "adapter_model.safetensors"}
    assert our_state.keys() == their_state.keys()
    assert all(torch.equal(our_state[key], their_state[key]) for key in our_state)
    assert all(torch.equal(one, other) for one, other in zip(our_outputs, their_outputs))
    assert not torch.equal(our_outputs[0], outputs(base))


def tensors_of_another_rank(model: Any, folder: Path) -> None:
    model.load_adapter(folder / "wrong")


def tensors_of_another_rank_by_peft(model: Any, folder: Path) -> None:
    PeftModel.from_pretrained(model, folder / "wrong")


def second_adapter_without_a_name(model: Any, folder: Path) -> None:
    PeftModel.from_pretrained(model, folder / "lora").load_adapter(folder / "lora")


def folder_without_an_adapter(model: Any, folder: Path) -> None:
    model.load_adapter(folder)


def layers_that_are_not_there(model: Any, folder: Path) -> None:
    model.add_adapter(LoraConfig(target_modules=["none"]))


@pytest.mark.parametrize(
    "fail",
    [
        tensors_of_another_rank,
        tensors_of_another_rank_by_peft,
        second_adapter_without_a_name,
        folder_without_an_adapter,
        layers_that_are_not_there,
    ],
)
def test_lora_fails_and_is_reported_as_without_the_patches(folders, fail):
    base, folder = folders
    results = []
    for kind in (nullcontext, without_patches):
        with kind(), reported() as reports, pytest.raises((ValueError, RuntimeError, TypeError)) as error:
            fail(copy.deepcopy(base), folder)
        results.append((error.type, str(error.value), reports))
    assert results[0] == results[1]

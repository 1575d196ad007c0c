"""A steering adapter that comes with a model, a processor or code is refused on every path."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from peft import AutoPeftModel, PeftModel
from transformers import AutoModelForImageTextToText, LlavaForConditionalGeneration, pipeline

from hf_eraser.hub.inspection import inspect_adapter
from tests.conftest import built
from tests.helpers.adapters import attach


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model in `base`, an adapter for it in `adapter`, and another model of the same kind in `other`."""
    root = tmp_path_factory.mktemp("made")
    model, processor = built("llava")
    for name in ("base", "other"):
        model.save_pretrained(root / name)
        processor.save_pretrained(root / name)
    base = AutoModelForImageTextToText.from_pretrained(root / "base")
    attach(base)
    base.save_pretrained(root / "adapter")
    path = root / "adapter" / "adapter_config.json"
    mapping = {"base_model_class": "LlavaForConditionalGeneration", "parent_library": "transformers"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "auto_mapping": mapping}))
    return root


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made / "adapter", tmp_path / "adapter")
    return tmp_path / "adapter"


def model_beside(folder: Path, made: Path) -> None:
    for path in (made / "other").iterdir():
        if path.name != "generation_config.json":
            shutil.copy(path, folder)


def code_beside(folder: Path, made: Path) -> None:
    config = {
        **json.loads((made / "other" / "config.json").read_text()),
        "model_type": "own",
        "architectures": ["Own"],
    }
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.Own"}
    (folder / "config.json").write_text(json.dumps(config))
    marker = folder.parent / "ran"
    (folder / "own.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nfrom transformers import LlavaConfig as OwnConfig\n"
    )


def file_beside(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, made: (folder / name).write_bytes(b"anything")


BESIDE: dict[str, Callable[[Path, Path], None]] = {
    "model": model_beside,
    "code": code_beside,
    "configuration": lambda folder, made: (shutil.copy(made / "other" / "config.json", folder), None)[1],
    **{
        name: file_beside(name)
        for name in (
            "adapter_model.bin",
            "adapter_model.pt",
            "model-00001-of-00002.safetensors",
            "model.safetensors.index.json",
            "tokenizer.json",
            "preprocessor_config.json",
            "chat_template.jinja",
            "custom_generate.py",
            "model.GGUF",
            "extension.so",
            "pack.zip",
        )
    },
}

LOCAL: dict[str, Callable[[Any], Any]] = {
    "plain": lambda name: built("llava")[0].load_adapter(name),
    "peft": lambda name: PeftModel.from_pretrained(built("llava")[0], name),
    "auto": AutoModelForImageTextToText.from_pretrained,
    "auto with code": lambda name: AutoModelForImageTextToText.from_pretrained(name, trust_remote_code=True),
    "class": LlavaForConditionalGeneration.from_pretrained,
    "auto peft": AutoPeftModel.from_pretrained,
    "pipeline": lambda name: pipeline("image-text-to-text", model=str(name)),
    "pipeline with code": lambda name: pipeline("image-text-to-text", model=str(name), trust_remote_code=True),
    "inspect": inspect_adapter,
}


@pytest.mark.parametrize("path", LOCAL)
@pytest.mark.parametrize("beside", BESIDE)
def test_adapter_with_something_loadable_beside_it_is_refused(beside, path, folder, made):
    if path.startswith("pipeline") and beside not in ("model", "code", "configuration"):
        pytest.skip("by the same function")
    BESIDE[beside](folder, made)
    with pytest.raises(ValueError, match="not loaded"):
        LOCAL[path](folder)
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize("path", LOCAL)
@pytest.mark.parametrize("beside", ["model", "code", "adapter_model.bin"])
def test_repository_with_something_loadable_is_refused(beside, path, folder, made, hub):
    BESIDE[beside](folder, made)
    hub.put("org/mixed", {file.name: file.read_bytes() for file in folder.iterdir()})
    with pytest.raises(ValueError, match=r"org/mixed on the Hub holds a steering adapter.*not loaded"):
        LOCAL[path]("org/mixed")
    downloaded = snapshot_download("org/mixed")
    with pytest.raises(ValueError, match="not loaded"):
        LOCAL[path](downloaded)
    assert not (folder.parent / "ran").exists()


def test_repository_in_the_cache_is_refused_offline_as_well(folder, made, hub, monkeypatch):
    model_beside(folder, made)
    hub.put("org/mixed", {file.name: file.read_bytes() for file in folder.iterdir()})
    snapshot_download("org/mixed")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="not loaded"):
        built("llava")[0].load_adapter("org/mixed")


@pytest.mark.parametrize("path", ["auto", "class", "auto peft"])
def test_base_that_is_loaded_is_named_in_the_log_once(path, folder, made, caplog):
    with caplog.at_level(logging.WARNING, "hf_eraser"):
        LOCAL[path](folder)
    said = [record.getMessage() for record in caplog.records if record.name == "hf_eraser"]
    assert f"Loading the base model {made / 'base'}, which the steering adapter {folder} names." in said


def test_name_of_a_base_forges_no_line_in_the_log(folder, caplog):
    path = folder / "adapter_config.json"
    name = "org/base\nWARNING all is well\x1b[2K\u202e"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": name}))
    with caplog.at_level(logging.WARNING, "hf_eraser"), pytest.raises(Exception):  # noqa: B017, PT011
        AutoModelForImageTextToText.from_pretrained(folder)
    (said,) = {record.getMessage() for record in caplog.records if record.name == "hf_eraser"}
    assert said.isprintable()
    assert r"org/base\nWARNING all is well\x1b[2K\u202e" in said


def test_documents_and_other_adapters_beside_it_do_no_harm(folder):
    for name in ("README.md", "notes.txt", "ada.jpg", "LICENSE", ".gitattributes", "training.log", "report.json"):
        (folder / name).write_text("anything")
    shutil.copytree(folder, folder.parent / "copy")
    shutil.move(folder.parent / "copy", folder / "second")
    model = built("llava")[0]
    model.load_adapter(folder)
    model.load_adapter(folder / "second", adapter_name="second")
    assert set(model.peft_config) == {"default", "second"}

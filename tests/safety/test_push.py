"""What is pushed is an adapter and nothing else, whatever is in its folder and in its files."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hf_eraser.cards import check_adapter_folder, push_adapter_folder
from hf_eraser.fitting import FitReport
from tests.conftest import built
from tests.helpers.adapters import attach
from tests.hub.test_saving import report_values


SECRET = "Leonhard Geheimnis"

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"

ROW = {"set": "forget", "modality": "text", "count": 3, "answered_before": 1.0, "answered_after": 0.0, "refused": 1.0}
ROW |= {"same_text": 0.0, "same_logits": 0.0}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "adapter"
    model = built("llava")[0]
    attach(model)
    model.save_pretrained(folder)
    report = FitReport(**report_values(strength=1.0), warnings=["Only 3 groups of retained examples were held out."])
    report.to_json(folder / "report.json")
    report.plot().savefig(folder / "report.png")
    (folder / "evaluation.json").write_text(json.dumps({"rows": [ROW]}))
    (folder / "README.md").write_text("---\nlicense: other\n---\nForgets somebody.\n")
    (folder / "LICENSE").write_text("Do as you like.\n")
    return folder


def secret_file(folder: Path) -> Path:
    path = folder.parent / "secret.txt"
    path.write_text(SECRET)
    return path


def linked(name: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret_file(folder))

    return change


def hard_linked(name: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.link(secret_file(folder), folder / name)

    return change


def in_json(name: str, change_values: Callable[[Any], Any]) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        values = json.loads((folder / name).read_text())
        change_values(values)
        (folder / name).write_text(json.dumps(values))

    return change


def foreign_tensor(name: str) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / TENSORS)
        save_file({**tensors, name: torch.ones(1, 160)}, folder / TENSORS, {"format": "pt"})

    return change


def text_instead(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(SECRET)


# What is done to the folder, and what the refusal names.
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    **{f"{name}_is_a_link": (linked(name), name) for name in ("LICENSE", "README.md", "report.json", "report.png")},
    **{f"{name}_is_hard_linked": (hard_linked(name), name) for name in ("LICENSE.md", "evaluation.json", "README.md")},
    "card_in_bytes": (lambda folder: (folder / "README.md").write_bytes(b"\xff\xd8\xff" + SECRET.encode()), "README"),
    "licence_in_bytes": (lambda folder: (folder / "LICENSE").write_bytes(b"PK\0" + SECRET.encode()), "LICENSE"),
    "tensor_of_a_photo": (foreign_tensor("x.steering_photo"), "steering_photo"),
    "tensor_on_no_layer": (foreign_tensor("base_model.model.photo.steering_direction"), "photo"),
    "tensor_of_another_stack": (foreign_tensor("base_model.model.photo.0.steering_direction"), "steering adapter's"),
    "tensor_on_a_further_layer": (
        foreign_tensor("base_model.model.model.language_model.layers.5.steering_direction"),
        "do not match",
    ),
    "report_is_a_text": (text_instead("report.json"), "report.json"),
    "report_with_a_key": (in_json("report.json", lambda v: v.update(forget_set=[SECRET])), "forget_set"),
    "report_with_a_warning": (in_json("report.json", lambda v: v["warnings"].append(SECRET)), "warnings"),
    "report_with_a_count": (in_json("report.json", lambda v: v["counts"].update({SECRET: 1})), "counts"),
    "report_with_a_version": (in_json("report.json", lambda v: v["versions"].update(torch=SECRET)), "versions"),
    "report_with_a_split": (in_json("report.json", lambda v: v.update(split=SECRET)), "split"),
    "picture_without_a_report": (lambda folder: (folder / "report.json").unlink(), "report.png"),
    "evaluation_is_a_text": (text_instead("evaluation.json"), "evaluation.json"),
    "evaluation_of_a_row_more": (in_json("evaluation.json", lambda v: v["rows"][0].update(who=SECRET)), "evaluation"),
    "mapping_of_classes": (in_json(CONFIG, lambda v: v.update(auto_mapping={"about": SECRET})), "auto_mapping"),
    "revision": (in_json(CONFIG, lambda v: v.update(revision=f"main\n{SECRET}")), "revision"),
    "precision": (in_json(CONFIG, lambda v: v.update(base_precision=SECRET)), "base_precision"),
    "version_of_peft": (in_json(CONFIG, lambda v: v.update(peft_version=SECRET)), "peft_version"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_adapter_s_is_refused_and_nothing_is_sent(kind, folder, hub):
    change, named = REFUSED[kind]
    change(folder)
    with pytest.raises(ValueError, match=named) as caught:
        push_adapter_folder(folder, "org/forget", token=hub.token)
    assert "/tmp" not in str(caught.value).replace(str(folder), "")
    assert not hub.state.requests


def picture_with_a_text(folder: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("about", SECRET)
    Image.new("RGB", (8, 8)).save(folder / "report.png", pnginfo=info)
    with (folder / "report.png").open("ab") as file:
        file.write(SECRET.encode())


def metadata(folder: Path) -> None:
    save_file(load_file(folder / TENSORS), folder / TENSORS, {"format": "pt", "about": SECRET})


def digest_that_is_none(folder: Path) -> None:
    save_file(load_file(folder / TENSORS), folder / TENSORS, {"adapter_config_sha256": SECRET})


WRITTEN_ANEW: dict[str, Callable[[Path], Any]] = {
    "keys_of_the_configuration": in_json(CONFIG, lambda v: v.update(forget_set=[SECRET], notes=SECRET)),
    "metadata_of_the_tensors": metadata,
    "digest_of_the_tensors": digest_that_is_none,
    "picture": picture_with_a_text,
    "keys_of_the_evaluation": in_json("evaluation.json", lambda v: v.update(people=[SECRET])),
    "generation_settings": in_json("generation_config.json", lambda v: v.update(about=SECRET, bos_token_id=SECRET)),
    "attributes": lambda folder: (folder / ".gitattributes").write_text(f"# {SECRET}\n"),
    "name_of_the_adapter": in_json("report.json", lambda v: v.update(adapter_name=SECRET)),
    "bytes_behind_the_report": lambda folder: (folder / "report.json").write_text(
        (folder / "report.json").read_text() + " " * 1000
    ),
}


@pytest.mark.filterwarnings("ignore:.*holds keys that this version")
@pytest.mark.parametrize("kind", WRITTEN_ANEW)
def test_what_is_sent_was_written_anew(kind, folder, hub, tmp_path):
    expected = load_file(folder / TENSORS)
    WRITTEN_ANEW[kind](folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    push_adapter_folder(folder, "org/forget", token=hub.token)
    sent = hub.files("org/forget")
    assert sent.keys() - {".gitattributes"} == before.keys() - {".gitattributes"}
    for word in SECRET.split():
        assert not [name for name, content in sent.items() if word.encode() in content]
    assert len(sent["report.json"]) < 5000
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before  # the folder stays as it is
    (tmp_path / "sent").write_bytes(sent[TENSORS])
    assert all(torch.equal(value, expected[name]) for name, value in load_file(tmp_path / "sent").items())
    with safe_open(tmp_path / "sent", "pt") as file:
        assert file.metadata().keys() <= {"format", "adapter_config_sha256"}
    llava = built("llava")[0]
    llava.load_adapter("org/forget")
    assert llava.active_adapters() == ["default"]


def test_configuration_of_a_model_is_checked_as_that_of_a_folder(hub):
    model = built("llava")[0]
    attach(model)
    model.peft_config["default"].auto_mapping = {"about": SECRET}
    with pytest.raises(ValueError, match="auto_mapping"):
        model.push_to_hub("org/forget", token=hub.token)
    assert not hub.state.requests


def test_folder_of_links_into_a_cache_is_told_to_be_copied(folder, tmp_path):
    (tmp_path / "links").mkdir()
    for name in (CONFIG, TENSORS):
        (tmp_path / "links" / name).symlink_to(folder / name)
    with pytest.raises(ValueError, match="Copy what is to be published"):
        check_adapter_folder(tmp_path / "links")
    shutil.copytree(tmp_path / "links", tmp_path / "copies", symlinks=False)
    assert check_adapter_folder(tmp_path / "copies") == [CONFIG, TENSORS]

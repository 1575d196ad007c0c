"""Only regular files are opened, and what a save left is used only where a save of this user was cut off."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText

from hf_eraser.cards import check_adapter_folder
from hf_eraser.hub.inspection import inspect_adapter
from hf_eraser.hub.validation import current_config_file
from tests.conftest import built
from tests.helpers.adapters import attach


pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes in the file system: Linux or macOS")

CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture(autouse=True)
def hanging_fails(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A test that waits for a pipe fails after 60 seconds, rather than never."""

    def fail(*_: Any) -> None:
        raise RuntimeError("waited for what never comes")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    model = built("llava")[0]
    model.save_pretrained(folder / "base")
    model = AutoModelForImageTextToText.from_pretrained(folder / "base")
    attach(model)
    model.save_pretrained(folder / "adapter")
    return folder / "adapter"


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    shutil.copytree(good, tmp_path / "adapter")
    return tmp_path / "adapter"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def directory(path: Path) -> None:
    path.mkdir()


def listening(path: Path) -> None:
    # The name of a socket may have about a hundred characters.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        socket.socket(socket.AF_UNIX).bind(path.name)
    finally:
        os.chdir(here)


def linked_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("hidden"))
    path.symlink_to("hidden")


SPECIAL = (pipe, endless, directory, listening, linked_pipe)

PATHS: dict[str, Callable[[Path], Any]] = {
    "plain": lambda folder: built("llava")[0].load_adapter(folder),
    "peft": lambda folder: PeftModel.from_pretrained(built("llava")[0], folder),
    "auto": AutoModelForImageTextToText.from_pretrained,
    "inspect": inspect_adapter,
    "push": check_adapter_folder,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("name", [CONFIG, TENSORS])
def test_what_is_no_regular_file_is_refused_by_name(name, special, path, folder):
    (folder / name).unlink()
    special(folder / name)
    with pytest.raises((ValueError, FileNotFoundError), match=name):
        PATHS[path](folder)


@pytest.mark.parametrize("path", ["plain", "peft", "auto", "inspect"])
@pytest.mark.parametrize("special", SPECIAL)
def test_special_file_with_the_name_of_what_a_save_leaves_is_not_opened(special, path, folder):
    for name in ("adapter_config.next.json", "adapter_config.next-1f-2e.json"):
        if special is not linked_pipe or not (folder / "hidden").exists():
            special(folder / name)
    PATHS[path](folder)


def test_configuration_of_a_tebibyte_is_not_looked_through(folder):
    with (folder / CONFIG).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="no configuration of an adapter is so large"):
        built("llava")[0].load_adapter(folder)


def planted(folder: Path, name: str) -> None:
    """A second configuration, and tensors that say that they belong to it."""
    values = {**json.loads((folder / CONFIG).read_text()), "gate": "always", "strength": 9.0}
    text = json.dumps(values)
    (folder / name).write_text(text)
    with safe_open(folder / TENSORS, "pt") as file:
        metadata = file.metadata()
    digest = hashlib.sha256(text.encode()).hexdigest()
    save_file(load_file(folder / TENSORS), folder / TENSORS, {**metadata, "adapter_config_sha256": digest})


def loaded_strength(path: str, folder: Path) -> float:
    if path == "plain":
        model = built("llava")[0]
        model.load_adapter(folder)
        return model.peft_config["default"].strength
    if path == "inspect":
        return inspect_adapter(folder).config.strength
    return PATHS[path](folder).peft_config["default"].strength


@pytest.mark.parametrize("path", ["plain", "peft", "auto", "inspect"])
def test_planted_recovery_file_does_not_override_the_configuration(path, folder):
    planted(folder, "adapter_config.next.json")
    assert loaded_strength(path, folder) == 1.0


@pytest.mark.parametrize("path", ["plain", "peft", "auto", "inspect"])
def test_recovery_file_that_was_not_left_here_is_refused_not_used(path, folder):
    """As in a folder that was copied, unpacked or pulled: the configuration in its place is of other tensors."""
    planted(folder, "adapter_config.next-1f-2e.json")
    with pytest.raises(ValueError, match="not one by you in this folder"):
        PATHS[path](folder)


def cut_off(folder: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """A save of strength 0.5 whose `at`-th move fails."""
    model, calls, replace = built("llava")[0], [0], os.replace
    attach(model, strength=0.5)

    def fail(*arguments: Any) -> None:
        calls[0] += arguments[0].name.startswith("adapter_")
        if calls[0] == at:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="No space left"):
            model.save_pretrained(folder)


@pytest.mark.parametrize("path", ["plain", "inspect"])
def test_save_that_was_cut_off_here_is_found_until_the_folder_is_copied(path, folder, tmp_path, monkeypatch):
    cut_off(folder, monkeypatch, at=3)
    assert loaded_strength(path, folder) == 0.5
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(ValueError, match="not one by you in this folder"):
        PATHS[path](tmp_path / "copy")


def test_what_another_user_s_save_left_is_not_used(folder, monkeypatch):
    cut_off(folder, monkeypatch, at=3)
    assert current_config_file(folder).name != CONFIG
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ValueError, match="not one by you in this folder"):
        current_config_file(folder)


def test_recovery_file_of_a_repository_is_not_even_looked_at(folder, hub, monkeypatch):
    """Also where all of the repository is in the cache, and though its name fits the file there."""
    planted(folder, "adapter_config.next.json")
    hub.put("org/planted", {path.name: path.read_bytes() for path in folder.iterdir()})
    monkeypatch.setattr("hf_eraser.hub.validation.is_own", lambda _: True)
    from huggingface_hub import snapshot_download

    snapshot_download("org/planted")
    for load in (
        lambda: PeftModel.from_pretrained(built("llava")[0], "org/planted"),
        lambda: AutoModelForImageTextToText.from_pretrained("org/planted"),
    ):
        assert load().peft_config["default"].strength == 1.0


def test_next_save_leaves_alone_what_is_not_of_a_save(folder, monkeypatch):
    """Files and folders of the user's, whatever they are called."""
    for name in (".saving-mine", ".saving-abcdefgh", ".saving-" + "0" * 32):
        (folder / name).mkdir()
        (folder / name / "notes.txt").write_text("mine")
    mine = [".saving-report.json", ".saving-adapter_config.json", "adapter_config.next.json"]
    for name in [*mine, "adapter_config.next-1f-2e.json"]:
        (folder / name).write_text("mine")
    before = {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "mine" in path.read_text("latin-1")
    }
    cut_off(folder, monkeypatch, at=2)
    model = built("llava")[0]
    attach(model)
    model.save_pretrained(folder)
    assert len(before) == 7
    assert {path: path.read_bytes() for path in before} == before


KILLED = """
import os, sys, signal
from tests.conftest import built
from tests.helpers.adapters import attach
model = built("llava")[0]
attach(model)
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
model.save_pretrained(sys.argv[1])
"""


def test_what_a_killed_save_left_is_taken_away_by_the_next(folder):
    before = set(os.listdir(folder))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", KILLED, str(folder)], env=environment, check=False)
    assert set(os.listdir(folder)) > before
    model = built("llava")[0]
    attach(model)
    model.save_pretrained(folder)
    assert set(os.listdir(folder)) == before

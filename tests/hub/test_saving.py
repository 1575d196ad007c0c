"""At whatever moment saving ends, the folder holds the old adapter or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, LlamaConfig, LlamaForCausalLM

from hf_eraser.fitting.report.report import FitReport
from hf_eraser.hub.repository import read_adapter
from hf_eraser.hub.validation import recovery_name
from tests.helpers.adapters import attach


OLD, NEW = {"seed": 1, "strength": 0.25}, {"seed": 2, "strength": 0.75}
# Of another shape, and of the same, which nothing but the digest tells apart.
NEWER = {"seed": 3, "strength": 0.5, "rank": 2, "layers_to_transform": [3, 4, 5]}


def small_model() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=32, hidden_size=32, intermediate_size=16, num_hidden_layers=6, num_attention_heads=2)
    ).eval()


def with_adapter(adapter: dict[str, Any], kind: str) -> Any:
    model = small_model()
    attach(model, **adapter)
    if kind == "plain":
        return model
    tensors = dict(model.get_adapter_state_dict())
    config = model.peft_config["default"]
    model.delete_adapter("default")
    peft_model = PeftModel(model, config)
    state = peft_model.state_dict()
    for name, tensor in tensors.items():
        state[f"base_model.model.{name}.default"].copy_(tensor)
    return peft_model


def held(folder: Path) -> dict[str, Any] | None:
    """Which adapter a model finds in a folder, by all that makes it: configuration and tensors."""
    found = []
    for load in (lambda model: model.load_adapter(folder), lambda model: PeftModel.from_pretrained(model, folder)):
        model = small_model()
        loaded = load(model)
        state = model.get_adapter_state_dict() if not isinstance(loaded, PeftModel) else loaded.state_dict()
        config = model.peft_config["default"]
        found.append(
            (
                config.strength,
                config.rank,
                config.layers_to_transform,
                sorted(float(tensor.sum()) for name, tensor in state.items() if "steering_direction" in name),
            )
        )
    assert found[0] == found[1]
    return found[0]


@pytest.fixture(params=["plain", "peft"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def saved(adapter: dict[str, Any], kind: str, folder: Path) -> Any:
    with_adapter(adapter, kind).save_pretrained(folder)
    return held(folder)


def test_folder_holds_the_usual_files_and_nothing_else(kind, tmp_path):
    saved(OLD, kind, tmp_path / "adapter")
    saved(NEW, kind, tmp_path / "adapter")
    further = {"plain": {"generation_config.json"}, "peft": {"README.md"}}[kind]
    assert set(os.listdir(tmp_path / "adapter")) == {"adapter_config.json", "adapter_model.safetensors"} | further
    assert os.listdir(tmp_path) == ["adapter"]


def test_saving_twice_gives_the_same_bytes(kind, tmp_path):
    model = with_adapter(NEW, kind)
    saved(OLD, kind, tmp_path / "a")
    model.save_pretrained(tmp_path / "a")
    model.save_pretrained(tmp_path / "b")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_configuration_may_be_edited_by_hand(kind, tmp_path):
    saved(OLD, kind, tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "strength": 2.0}))
    assert held(tmp_path)[0] == 2.0


def test_files_of_others_and_an_edited_card_are_kept(kind, tmp_path):
    saved(OLD, kind, tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "README.md").write_text("---\nlibrary_name: peft\n---\nMy own words.\n")
    saved(NEW, kind, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert "My own words." in (tmp_path / "README.md").read_text()


def test_pickles_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="`safe_serialization` must be True"):
        with_adapter(OLD, "peft").save_pretrained(tmp_path / "adapter", safe_serialization=False)
    assert not (tmp_path / "adapter").exists()


def test_several_adapters_are_each_saved_to_their_folder(tmp_path):
    model = with_adapter(OLD, "peft")
    attach(model, "second", **NEW)
    model.save_pretrained(tmp_path)
    assert held(tmp_path)[0] == OLD["strength"]
    assert held(tmp_path / "second")[0] == NEW["strength"]


class Failing:
    """Stands before functions that write: the call number `at` of all of them fails."""

    def __init__(self, function: Callable[..., Any], counter: list[int], at: int, failure: BaseException) -> None:
        self.function, self.counter, self.at, self.failure = function, counter, at, failure

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.counter[0] += 1
        if self.counter[0] == self.at:
            raise self.failure
        return self.function(*args, **kwargs)

    def bound(self) -> Callable[..., Any]:
        """For a method."""
        return lambda *args, **kwargs: self(*args, **kwargs)


def calls_until_failure(monkeypatch: pytest.MonkeyPatch, save: Callable[[], Any], at: int, failure: Exception) -> bool:
    """Save with the `at`-th of the calls that change the disk failing; whether there were so many."""
    counter = [0]
    with monkeypatch.context() as patch:
        for name in ("replace", "fsync"):
            patch.setattr(os, name, Failing(getattr(os, name), counter, at, failure))
        for module in ("peft.peft_model", "transformers.modeling_utils"):
            write = sys.modules[module].safe_save_file
            patch.setattr(f"{module}.safe_save_file", Failing(write, counter, at, failure))
        patch.setattr(Path, "write_bytes", Failing(Path.write_bytes, counter, at, failure).bound())
        with contextlib.suppress(type(failure)):
            save()
    return counter[0] >= at


def test_any_call_that_fails_leaves_the_old_or_the_new_adapter(kind, tmp_path, monkeypatch):
    """A full disk, for example: each call that writes, flushes or moves is made to fail in turn."""
    newer = NEW if kind == "plain" else NEWER
    old, new = saved(OLD, kind, tmp_path / "old"), saved(newer, kind, tmp_path / "new")
    model = with_adapter(newer, kind)
    found = []
    for at in range(1, 100):
        folder = tmp_path / f"failing-{at}"
        shutil.copytree(tmp_path / "old", folder)
        full = OSError(errno.ENOSPC, "No space left on device")
        if not calls_until_failure(monkeypatch, lambda folder=folder: model.save_pretrained(folder), at, full):
            break
        found.append(held(folder))
        assert found[-1] in (old, new), at
        assert not [name for name in os.listdir(folder) if name.startswith(".saving")]
        model.save_pretrained(folder)  # with the disk free again
        assert held(folder) == new
    assert len(found) > 8
    assert found == sorted(found, key=[old, new].index)
    assert {old[0], new[0]} == {f[0] for f in found}


def test_saves_that_are_cut_off_one_after_the_other_leave_one_adapter_whole(tmp_path, monkeypatch):
    """The second begins on what the first has left between two of its moves."""
    old, new, newer = (saved(adapter, "plain", tmp_path / str(i)) for i, adapter in enumerate((OLD, NEW, NEWER)))
    found = set()
    for first, second in itertools.product(range(1, 6), repeat=2):
        folder = tmp_path / f"{first}-{second}"
        shutil.copytree(tmp_path / "0", folder)
        states = [old]
        for adapter, at in ((NEW, first), (NEWER, second)):
            with monkeypatch.context() as patch:
                patch.setattr(os, "replace", Failing(os.replace, [0], at, OSError(errno.ENOSPC, "No space left")))
                with contextlib.suppress(OSError):
                    with_adapter(adapter, "plain").save_pretrained(folder)
            states.append(held(folder))
        assert states[1] in (old, new), (first, second)
        assert states[2] in (states[1], newer), (first, second)
        found.add(tuple(str(state) for state in states[1:]))
    assert len(found) == 4


def test_auto_class_takes_the_base_that_belongs_to_the_tensors_of_a_save_that_was_cut_off(
    tmp_path, monkeypatch, llava
):
    model, _ = llava
    for name in ("one", "two"):
        model.save_pretrained(tmp_path / name)
    for name in ("one", "two"):
        attached = AutoModelForImageTextToText.from_pretrained(tmp_path / name)
        attach(attached)
        attached.save_pretrained(tmp_path / f"adapter-{name}")
    # As it is after the first, and after the second of the three moves.
    folder = tmp_path / "adapter-one"
    shutil.copy(tmp_path / "adapter-two" / "adapter_config.json", folder / "copied")
    (folder / "copied").rename(folder / recovery_name(folder / "copied"))
    assert AutoModelForImageTextToText.from_pretrained(folder).name_or_path == str(tmp_path / "one")
    shutil.copy(tmp_path / "adapter-two" / "adapter_model.safetensors", folder)
    assert AutoModelForImageTextToText.from_pretrained(folder).name_or_path == str(tmp_path / "two")


# Forks a child for each save, so that the libraries are imported once. The child is killed by itself as it asks the
# system for something about files, each time for another thing; or from outside after a random while, if it has not
# ended by then.
KILLED = """
import os, random, select, signal, sys, time
import torch
torch.set_num_threads(1)
from pathlib import Path
from tests.hub.test_saving import NEW, NEWER, OLD, with_adapter

calls = last = 0
counting = True

def count(event, arguments):
    global calls, counting
    if event == "open" or event.startswith(("os.", "shutil.", "tempfile.")):
        counting = counting or event == "os.mkdir" and "/.saving-" in str(arguments[0])
        calls += counting
        if calls == last > 0:
            os.kill(os.getpid(), signal.SIGKILL)

def begin(model, folder, call=0, at_once=False):
    global counting, last
    counting, last = at_once, call
    begun, begin = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(begin, b"x")
        sys.addaudithook(count)
        model.save_pretrained(folder)
        os.write(begin, b"%d" % calls)
        os._exit(0)
    os.close(begin)
    os.read(begun, 1)
    return child, begun

def end(child, begun):
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = os.read(begun, 99)
    os.close(begun)
    return status, said

rng = random.Random(0)
for kind in ("plain", "peft"):
    folder = Path(sys.argv[1], kind)
    models = [with_adapter(adapter, kind) for adapter in (OLD, NEW, NEWER)]
    models[2].save_pretrained(folder)
    start = time.perf_counter()
    of_a_save = [int(end(*begin(model, folder))[1]) for model in models]
    longest = (time.perf_counter() - start) / len(models)
    # A killed save leaves a folder behind, which the next one takes away before it makes its own: from there on calls
    # are counted, but for the first few.
    moments = [*((call, True) for call in range(1, 7)), *((call, False) for call in range(1, min(of_a_save) + 1))]
    for turn, (call, at_once) in enumerate([*moments, *5 * [(0, True)]]):
        child, begun = begin(models[turn % 3], folder, call, at_once)
        if not call:
            select.select([], [], [], rng.uniform(0, longest))
            os.kill(child, signal.SIGKILL)
        killed = end(child, begun)[0] == -signal.SIGKILL
        print(kind, turn, call, int(killed), flush=True)
        sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, to begin many saves quickly: Linux or macOS")
def test_killed_at_any_moment_the_folder_holds_the_old_or_the_new_adapter(tmp_path):
    """Saves of a plain model and of a `PeftModel` are killed, at moments spread over all that one does."""
    adapters = [saved(adapter, "plain", tmp_path / str(i)) for i, adapter in enumerate((OLD, NEW, NEWER))]
    before = {"plain": adapters[2], "peft": adapters[2]}
    outcomes = []
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as saving:
        for line in saving.stdout:
            kind, turn, call, killed = line.split()
            found, intended = held(tmp_path / kind), adapters[int(turn) % 3]
            assert found in (before[kind], intended), line
            assert killed == "1" or found == intended, line
            outcomes.append((call != "0", killed == "1", found != before[kind]))
            before[kind] = found
            saving.stdin.write("\n")
            saving.stdin.flush()
        error = saving.stderr.read()
    at_calls = [outcome for outcome in outcomes if outcome[0]]
    assert len(outcomes) - len(at_calls) == 10, error
    # These do not depend on how fast the machine is: all were killed, some before the adapter changed and some after.
    assert len(at_calls) > 30
    assert all(killed for _, killed, _ in at_calls), outcomes
    assert {changed for *_, changed in at_calls} == {False, True}


# Saves two adapters in turn until it is told to end.
SAVING = """
import select, sys
from tests.hub.test_saving import NEW, OLD, with_adapter

writers = [with_adapter(adapter, "plain") for adapter in (NEW, OLD)]
turn = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    writers[turn % 2].save_pretrained(sys.argv[1])
    turn += 1
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs select on standard input: Linux or macOS")
def test_reader_never_sees_a_mixture_while_another_process_saves(tmp_path):
    """Two adapters of the same shape are saved in turn, and read all the while."""
    adapters = [saved(adapter, "plain", tmp_path / str(i)) for i, adapter in enumerate((OLD, NEW))]
    folder, model = tmp_path / "busy", small_model()
    with_adapter(OLD, "plain").save_pretrained(folder)
    sums = {strength: total for strength, _, _, total in adapters}
    seen: list[float] = []
    with subprocess.Popen(
        [sys.executable, "-c", SAVING, str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as saving:
        # However long it takes on a busy machine, until other adapters were found than just before.
        while sum(a != b for a, b in itertools.pairwise(seen)) < 20 or len(seen) < 200:
            assert saving.poll() is None, saving.stderr.read()
            config, tensors = read_adapter(model, folder)
            total = sorted(float(tensor.sum()) for name, tensor in tensors.items() if name.endswith("direction"))
            assert total == sums[config.strength]
            seen.append(config.strength)
    assert saving.returncode == 0


def test_report_is_written_whole(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    report = FitReport(**report_values(strength=1.0))
    report.to_json(path)
    old = path.read_text()
    newer = FitReport(**report_values(strength=2.0))
    for at in range(1, 10):
        full = OSError(errno.ENOSPC, "No space left on device")
        if not calls_until_failure(monkeypatch, lambda: newer.to_json(path), at, full):
            break
        assert path.read_text() in (old, newer.to_json() + "\n")
        assert os.listdir(tmp_path) == ["report.json"]
    assert at > 2
    assert json.loads(path.read_text())["strength"] == 2.0


def report_values(*, strength: float) -> dict[str, Any]:
    return {
        "adapter_name": "default",
        "gate_layer": 1,
        "readout": "prompt",
        "text_readout": None,
        "gate": "calibrated",
        "estimator": "ridge",
        "layers": [2],
        "strength": strength,
        "steer_decode": True,
        "split": "group",
        "counts": {"forget": 3},
        "base_refusal_rate": 1.0,
        "direction_norms": {2: 1.0},
        "calibration": {},
    }


def test_tensors_say_which_configuration_they_were_saved_with(tmp_path):
    saved(OLD, "plain", tmp_path)
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        metadata = file.metadata()
    digest = hashlib.sha256((tmp_path / "adapter_config.json").read_bytes()).hexdigest()
    assert metadata == {"format": "pt", "adapter_config_sha256": digest}

"""What can go wrong between a Hub and a model: each fault is named, changes nothing, and leaves no trace."""

from __future__ import annotations

import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from peft import PeftModel
from safetensors.torch import load, load_file, save
from torch import Tensor

from hf_eraser.tuner.steered_model import attached_adapters
from tests.helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits
from tests.helpers.hub import Hub


REPO = "org/forget"
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def good(llava, tmp_path, fresh):
    """The files of a good adapter, the model without it, prompts, and the logits with it."""
    model, processor = llava
    inputs = batch_of(model, processor, PROMPTS)
    fitted = fresh(model)
    attach(fitted)
    fitted.save_pretrained(tmp_path / "good")
    files = {name: (tmp_path / "good" / name).read_bytes() for name in (CONFIG, TENSORS)}
    return files, model, inputs, logits(fitted, inputs)


def pull_plain(model, **options):
    model.load_adapter(REPO, **options)
    return model


def pull_peft(model, **options):
    return PeftModel.from_pretrained(model, REPO, **options)


def said(error: BaseException | None) -> str:
    """The messages of an error and of all that caused it, as a traceback shows them."""
    messages = []
    while error is not None:
        messages.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join(" ".join(messages).split())


# What a Hub, or the way to it, does wrong


@dataclass(frozen=True)
class Case:
    """What is wrong, how it is brought about, and what the error is and says."""

    name: str
    arrange: Callable[[Hub, dict[str, bytes]], object]
    error: type[Exception]
    says: str
    revision: str | None = None
    token: str | None = None
    # The client waits five times for a second; both ways of loading read by the same function.
    slow: bool = False

    def __str__(self) -> str:
        return self.name


def answering(request: str, **fault: object) -> Callable[[Hub, dict[str, bytes]], None]:
    """The good adapter is there, but requests get this fault."""

    def arrange(hub: Hub, files: dict[str, bytes]) -> None:
        hub.put(REPO, files)
        hub.fail(request, **fault)

    return arrange


def closed(*, private: bool = False, gated: bool = False) -> Callable[[Hub, dict[str, bytes]], None]:
    """The good adapter is there, but not for everybody."""

    def arrange(hub: Hub, files: dict[str, bytes]) -> None:
        hub.put(REPO, files)
        hub.repository(REPO).private, hub.repository(REPO).gated = private, gated

    return arrange


def holding(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[Hub, dict[str, bytes]], object]:
    """The repository holds the good adapter's files after `change`."""
    return lambda hub, files: hub.put(REPO, change(files))


def config_is(content: bytes) -> Callable[[Hub, dict[str, bytes]], object]:
    """The repository holds this configuration with the good tensors."""
    return holding(lambda files: {**files, CONFIG: content})


def configured(**fields: object) -> Callable[[Hub, dict[str, bytes]], object]:
    """The repository holds the good adapter with other values in its configuration."""
    return holding(lambda files: {**files, CONFIG: json.dumps({**json.loads(files[CONFIG]), **fields}).encode()})


def tensor_file_is(change: Callable[[bytes], bytes]) -> Callable[[Hub, dict[str, bytes]], object]:
    """The repository holds the good configuration with other bytes for tensors."""
    return holding(lambda files: {**files, TENSORS: change(files[TENSORS])})


def with_tensors(
    change: Callable[[dict[str, Tensor]], dict[str, Tensor]],
) -> Callable[[Hub, dict[str, bytes]], object]:
    """The repository holds the good configuration with other tensors."""
    return tensor_file_is(lambda content: save(change(load(content))))


def first(tensors: dict[str, Tensor], kind: str) -> str:
    """The name of a tensor of a kind."""
    return next(name for name in tensors if kind in name)


def broken(value: float) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """One number of a direction is `value`."""

    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        tensors[first(tensors, "direction")].view(-1)[3] = value
        return tensors

    return change


def without(kind: str) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    """A tensor of a kind is missing."""
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name != first(tensors, kind)}


STRANGER = Hub.strangers_token
GET_TENSORS = rf"GET .*/{TENSORS}"
SERVER_FAULTS = [
    Case("private, no token", closed(private=True), HfHubHTTPError, "401"),
    Case("private, a stranger's token", closed(private=True), RepositoryNotFoundError, "404.*token", token=STRANGER),
    Case("unknown token", closed(), HfHubHTTPError, "401.*Invalid credentials", token="hf_unknown"),
    Case("gated, no token", closed(gated=True), GatedRepoError, "401.*gated"),
    Case("gated, a stranger's token", closed(gated=True), GatedRepoError, "403.*gated", token=STRANGER),
    Case("no such repository", lambda hub, files: None, HfHubHTTPError, "org/forget"),
    Case("no such revision", closed(), RevisionNotFoundError, "404.*v9", revision="v9"),
    Case("no configuration", holding(lambda files: {TENSORS: b""}), EntryNotFoundError, f"404.*{CONFIG}"),
    Case("no tensors", holding(lambda files: {CONFIG: files[CONFIG]}), ValueError, f"no {TENSORS}"),
    Case(
        "429 for ever",
        answering("/resolve/", status=429, headers={"Retry-After": "0"}),
        LocalEntryNotFoundError,
        "429 Too Many",
        slow=True,
    ),
    Case("500 for tensors", answering(GET_TENSORS, status=500), HfHubHTTPError, f"500.*{TENSORS}"),
    Case("tensors cut short", answering(GET_TENSORS, body=b"short"), OSError, r"of size \d+ but has size 5"),
    # What the client raises is of the HTTP library that it uses at the time.
    Case("broken connection", answering(GET_TENSORS, drop_after=0), Exception, "peer closed connection", slow=True),
    Case(
        "no ETag",
        answering("HEAD .*/resolve/", headers={"ETag": None, "X-Linked-Etag": None}),
        LocalEntryNotFoundError,
        "ETag",
    ),
    Case("no Hub at all", answering("/resolve/", headers={"X-Repo-Commit": None}), OSError, "HF_ENDPOINT"),
    Case("a page to log in", answering(f"GET .*{CONFIG}", body=b"<html>"), OSError, "should be of size"),
]
HOSTILE = [
    Case("configuration is no JSON", config_is(b"{oops"), ValueError, f"{CONFIG} must hold a JSON object"),
    Case("configuration is a list", config_is(b"[1, 2]"), ValueError, rf"{CONFIG} must hold a JSON object.*\[1, 2\]"),
    Case("configuration is empty", config_is(b""), ValueError, f"{CONFIG} must hold a JSON object"),
    Case("configuration of 2 MB", configured(task_type="x" * 2_000_000), ValueError, f"{CONFIG} has 2000"),
    Case("configuration of a LoRA", configured(peft_type="LORA"), ValueError, "target_modules"),
    Case("unknown type of adapter", configured(peft_type="OTHER"), ValueError, "'OTHER', a method that PEFT does not"),
    Case("negative strength", configured(strength=-1.0), ValueError, "`strength`"),
    Case("infinite strength", configured(strength=float("inf")), ValueError, "Infinity"),
    Case("a layer that is not there", configured(layers_to_transform=[2, 40]), ValueError, "layer 40"),
    Case("another width", configured(hidden_size=4096), ValueError, "hidden_size=4096"),
    Case(
        "a pickle only",
        holding(lambda files: {CONFIG: files[CONFIG], "adapter_model.bin": b"\x80\x04."}),
        ValueError,
        r"\.bin or \.pt file is a pickle",
    ),
    Case("tensors are zeros", tensor_file_is(lambda content: bytes(100)), ValueError, f"{TENSORS} is not a whole"),
    Case("tensors are empty", tensor_file_is(lambda content: b""), ValueError, f"{TENSORS}.* 0 bytes"),
    Case(
        "a header of 4 EiB",
        tensor_file_is(lambda content: (1 << 62).to_bytes(8, "little") + content[8:]),
        ValueError,
        f"{TENSORS} claims a header of {1 << 62} bytes",
    ),
    Case("tensors end early", tensor_file_is(lambda content: content[:-40]), ValueError, f"{TENSORS} is not a whole"),
    Case("a tensor is missing", with_tensors(without("gate_weight")), ValueError, "missing .*gate_weight"),
    Case(
        "a tensor too many",
        with_tensors(lambda t: {**t, "lm_head.weight": torch.ones(2)}),
        ValueError,
        "unknown .*lm_head",
    ),
    Case(
        "another shape",
        with_tensors(lambda t: {**t, first(t, "direction"): torch.ones(1, 7)}),
        ValueError,
        r"direction.* has shape \(1, 7\)",
    ),
    Case("NaN", with_tensors(broken(float("nan"))), ValueError, "direction.* NaN"),
    Case("infinite", with_tensors(broken(float("inf"))), ValueError, "direction.* infinite"),
    Case("absurdly large", with_tensors(broken(1e30)), ValueError, r"direction.* 1e\+30"),
]


@pytest.mark.parametrize(
    ("case", "pull"),
    [
        pytest.param(case, pull, id=f"{case}-{pull.__name__}")
        for case in [*SERVER_FAULTS, *HOSTILE]
        for pull in ([pull_plain] if case.slow else [pull_plain, pull_peft])
    ],
)
def test_fault_is_named_and_leaves_model_and_cache_as_they_were(hub, good, pull, case):
    files, model, inputs, expected = good
    before, base = fingerprint(model), logits(model, inputs)
    kind, attributes = type(model), set(vars(model))
    case.arrange(hub, files)
    options = {name: value for name, value in (("revision", case.revision), ("token", case.token)) if value}
    with pytest.raises(case.error) as error:
        pull(model, **options)
    assert re.search(case.says, said(error.value)), said(error.value)
    assert type(model) is kind
    assert set(vars(model)) - {"_hf_peft_config_loaded"} == attributes
    assert not model._hf_peft_config_loaded
    assert attached_adapters(model) == []
    assert fingerprint(model) == before
    assert torch.equal(logits(model, inputs), base)
    # The cache that met the fault serves a good adapter, and the model takes it.
    hub.state.faults.clear()
    hub.state.repositories.clear()
    hub.put(REPO, files)
    assert torch.equal(logits(pull(model), inputs), expected)


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        ("HEAD .*/resolve/", {"status": 429, "headers": {"Retry-After": "0"}}),
        (GET_TENSORS, {"status": 429, "headers": {"Retry-After": "0"}}),
        ("HEAD .*/resolve/", {"status": 500}),
        (GET_TENSORS, {"drop_after": 1000}),
        (GET_TENSORS, {"drop_after": 0}),
    ],
    ids=["429", "429 for tensors", "500", "connection breaks within tensors", "connection breaks before tensors"],
)
def test_passing_fault_is_waited_for(hub, good, request_, fault):
    files, model, inputs, expected = good
    hub.put(REPO, files)
    hub.fail(request_, times=1, **fault)
    assert torch.equal(logits(pull_plain(model), inputs), expected)


def test_large_download_goes_on_where_the_connection_broke(hub):
    content = random.Random(0).randbytes(12_000_000)
    hub.put("org/base", {"model.safetensors": content})
    hub.fail("GET .*model.safetensors", drop_after=11_000_000, times=1)
    assert Path(hf_hub_download("org/base", "model.safetensors")).read_bytes() == content
    # The client keeps what it has in pieces of 10 MiB.
    assert hub.state.requests[-1] == "GET /org/base/resolve/main/model.safetensors bytes=10485760-"


# Pushing


@pytest.mark.parametrize("step", ["PUT /lfs/", "POST .*/preupload/", "POST .*/info/lfs/"])
@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429, "headers": {"Retry-After": "0"}}], ids=["500", "429"]
)
def test_push_gets_over_a_passing_fault(hub, good, step, fault):
    _, model, *_ = good
    attach(model)
    hub.fail(step, times=1, **fault)
    commit = model.push_to_hub(REPO, token=hub.token)
    assert hub.commit(REPO).oid == commit.oid
    assert TENSORS in hub.files(REPO)


@pytest.mark.parametrize("step", ["/api/repos/create", "/validate-yaml", "/commit/"])
def test_refused_push_leaves_the_repository_as_it_was_and_a_later_one_works(hub, good, step):
    files, model, *_ = good
    attach(model, seed=1)
    old = hub.put(REPO, files)
    hub.fail(step, status=500)
    with pytest.raises(HfHubHTTPError, match="500"):
        model.push_to_hub(REPO, token=hub.token)
    assert hub.commit(REPO) is old
    hub.state.faults.clear()
    model.push_to_hub(REPO, token=hub.token)
    assert hub.files(REPO)[TENSORS] != files[TENSORS]


def test_push_whose_answer_is_lost_is_not_made_twice(hub, good):
    _, model, *_ = good
    attach(model)
    hub.fail("/commit/", drop_after=0, times=1)
    with pytest.raises(Exception, match=r"peer closed connection|disconnected"):
        model.push_to_hub(REPO, token=hub.token)
    made = hub.commit(REPO)
    assert TENSORS in made.files
    assert model.push_to_hub(REPO, token=hub.token).oid == made.oid


# Pushes adapters out of folders, each in a process of its own, when it is told to.
_PUSHER = """
import os
import sys
import hf_eraser
from transformers import AutoModelForImageTextToText

model = AutoModelForImageTextToText.from_pretrained(sys.argv[1])
print("ready", flush=True)
while folder := os.read(0, 1000).decode().strip():
    child = os.fork()
    if not child:
        try:
            model.load_adapter(folder)
            print(os.getpid(), flush=True)
            os.read(0, 1000)
            model.push_to_hub("org/forget")
            os._exit(0)
        finally:
            os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def push(hub, llava, tmp_path):
    """
    A function that pushes the adapter of a number, in a process that is killed at an event on the Hub: part of a
    request has come, or an answer is to be sent. It returns the process's exit status and the number of events.
    """
    model, _ = llava
    model.save_pretrained(tmp_path / "base")
    process = subprocess.Popen(
        [sys.executable, "-c", _PUSHER, str(tmp_path / "base")],
        env=hub.environment(tmp_path / "home"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def told(line):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    def push(number, kill_at=None):
        attach(model, seed=number, strength=1.0 + number)
        model.save_pretrained(tmp_path / str(number))
        model.delete_adapter("default")
        pid, events = told(tmp_path / str(number)), 0

        def count():
            nonlocal events
            events += 1
            if events == kill_at:
                os.kill(pid, signal.SIGKILL)
                raise ConnectionError("The client was killed.")

        hub.state.on_event = count
        return told("go"), events

    with process:  # which ends when its standard input does, whatever went wrong
        assert process.stdout.readline() == "ready\n"
        yield push
    assert process.returncode == 0


def number_on(hub, folder):
    """The number of the adapter that the repository holds, which must be whole."""
    files = hub.files(REPO)
    assert "README.md" in files
    number = int(json.loads(files[CONFIG])["strength"]) - 1
    stored, saved = load(files[TENSORS]), load_file(folder / str(number) / TENSORS)
    assert stored.keys() == saved.keys()
    assert all(torch.equal(stored[name], saved[name]) for name in saved)
    return number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork, to begin many pushes quickly: Linux or macOS")
def test_push_that_is_killed_at_any_moment_leaves_the_old_adapter_or_the_new_one(hub, push, tmp_path):
    assert push(10)[0] == 0
    # The first push made the repository and its card, a later one shows how many events there are.
    status, events = push(11)
    assert status == 0
    moments = random.Random(0).choices(range(1, events + 1), k=50)
    outcomes = collections.Counter()
    for number, moment in enumerate(moments, start=12):
        before = number_on(hub, tmp_path)
        status, _ = push(number, kill_at=moment)
        after = number_on(hub, tmp_path)
        assert (status, after) in ((-signal.SIGKILL, before), (-signal.SIGKILL, number), (0, number))
        outcomes[status] += 1
    assert outcomes[-signal.SIGKILL] >= 42
    assert push(99)[0] == 0
    assert number_on(hub, tmp_path) == 99

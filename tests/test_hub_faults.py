"""What can go wrong between a Hub and a model: each fault is named, changes nothing, and leaves no trace."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load, save

from hf_eraser.steered_model import attached_adapters

from .helpers.adapters import PROMPTS, attach, batch_of, fingerprint, logits
from .helpers.hub import Hub


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


ways = pytest.mark.parametrize("pull", [pull_plain, pull_peft], ids=["plain", "peft"])


def said(error: BaseException | None) -> str:
    """The messages of an error and of all that caused it, as a traceback shows them."""
    messages = []
    while error is not None:
        messages.append(f"{type(error).__name__}: {error}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(messages)


# What a Hub or the way to it does wrong


@dataclass(frozen=True)
class Case:
    """What is wrong, how it is brought about, and what the error says."""

    name: str
    arrange: Callable[[Hub, dict[str, bytes]], None]
    says: str
    revision: str | None = None
    token: Callable[[Hub], str | None] = lambda hub: None

    def __str__(self) -> str:
        return self.name


def answering(request: str, **fault: object) -> Callable[[Hub, dict[str, bytes]], None]:
    """The good adapter is there, but requests get this fault."""

    def arrange(hub: Hub, files: dict[str, bytes]) -> None:
        hub.put(REPO, files)
        hub.fail(request, **fault)

    return arrange


def holding(change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> Callable[[Hub, dict[str, bytes]], None]:
    """The repository holds the good adapter's files after `change`."""
    return lambda hub, files: hub.put(REPO, change(dict(files))) and None


def configured(**fields: object) -> Callable[[Hub, dict[str, bytes]], None]:
    """The repository holds the good adapter with other fields in its configuration."""
    return holding(lambda files: {**files, CONFIG: json.dumps({**json.loads(files[CONFIG]), **fields}).encode()})


def with_tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Callable[..., None]:
    """The repository holds the good adapter with other tensors."""
    return holding(lambda files: {**files, TENSORS: save(change(load(files[TENSORS])))})


def closed(*, private: bool = False, gated: bool = False) -> Callable[[Hub, dict[str, bytes]], None]:
    """The repository is there, but not for everybody."""

    def arrange(hub: Hub, files: dict[str, bytes]) -> None:
        hub.put(REPO, files)
        hub.repository(REPO).private, hub.repository(REPO).gated = private, gated

    return arrange


def first(tensors: dict[str, torch.Tensor], kind: str) -> str:
    return next(name for name in tensors if kind in name)


def broken(value: float) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """One number of a direction is `value`."""

    def change(tensors):
        tensors[first(tensors, "direction")].view(-1)[3] = value
        return tensors

    return change


def stranger(hub: Hub) -> str:
    return hub.strangers_token


HEADER = (1 << 62).to_bytes(8, "little")
SERVER_FAULTS = [
    Case("private, no token", closed(private=True), r"token|private"),
    Case("private, stranger's token", closed(private=True), r"token|private", token=stranger),
    Case("token unknown", closed(), r"Invalid credentials|token", token=lambda hub: "hf_unknown"),
    Case("gated, no token", closed(gated=True), r"gated|restricted"),
    Case("gated, stranger's token", closed(gated=True), r"gated|restricted", token=stranger),
    Case("no such repository", lambda hub, files: None, r"org/forget"),
    Case("no such revision", closed(), r"v9", revision="v9"),
    Case("no configuration", holding(lambda files: {TENSORS: files[TENSORS]}), CONFIG),
    Case("no tensors", holding(lambda files: {CONFIG: files[CONFIG]}), r"adapter_model"),
    Case("429 for ever", answering(r"/resolve/", status=429, headers={"Retry-After": "0"}), r"429|Too Many"),
    Case("500 for tensors", answering(rf"GET .*{TENSORS}", status=500), r"500"),
    Case("tensors cut short", answering(rf"GET .*{TENSORS}", body=b"short"), r"should be of size \d+ but has size 5"),
    Case("connection breaks for ever", answering(rf"GET .*{TENSORS}", drop_after=0), r"(?i)peer closed|connection"),
    Case("no ETag", answering(r"HEAD .*/resolve/", headers={"ETag": "", "X-Linked-Etag": ""}), r"(?i)etag"),
    Case("no Hub at all", answering(r"/resolve/", headers={"X-Repo-Commit": ""}), r"X-Repo-Commit|HF_ENDPOINT"),
    Case("a web page instead", answering(rf"GET .*{CONFIG}", body=b"<html>Log in</html>"), r"should be of size"),
]
HOSTILE = [
    Case("configuration is no JSON", holding(lambda files: {**files, CONFIG: b"{oops"}), r"JSON|adapter_config"),
    Case("configuration is a list", holding(lambda files: {**files, CONFIG: b"[1, 2]"}), r"adapter_config|list"),
    Case("configuration is empty", holding(lambda files: {**files, CONFIG: b""}), r"JSON|adapter_config"),
    Case("configuration of a LoRA", configured(peft_type="LORA"), r"LoraConfig|target_modules|layers_to_transform"),
    Case("unknown type of adapter", configured(peft_type="EVIL"), r"EVIL"),
    Case("negative strength", configured(strength=-1.0), r"strength"),
    Case("infinite strength", configured(strength=float("inf")), r"strength"),
    Case("a layer that is not there", configured(layers_to_transform=[2, 40]), r"layer 40"),
    Case("another width", configured(hidden_size=4096), r"hidden_size=4096"),
    Case(
        "a pickle only",
        holding(lambda files: {CONFIG: files[CONFIG], "adapter_model.bin": b"\x80\x04."}),
        r"\.bin|safetensors|pickle",
    ),
    Case("tensors are rubbish", holding(lambda files: {**files, TENSORS: b"\0" * 100}), r"(?i)header|safetensor"),
    Case("tensors are empty", holding(lambda files: {**files, TENSORS: b""}), r"(?i)header|safetensor"),
    Case("header of 4 EB", holding(lambda files: {**files, TENSORS: HEADER + b"{}"}), r"(?i)header|safetensor"),
    Case(
        "tensors end early",
        holding(lambda files: {**files, TENSORS: files[TENSORS][:-40]}),
        r"(?i)incomplete|MetadataIncompleteBuffer|cover",
    ),
    Case(
        "a tensor is missing",
        with_tensors(lambda t: {n: v for n, v in t.items() if n != first(t, "gate_weight")}),
        r"gate_weight",
    ),
    Case(
        "a tensor too many",
        with_tensors(lambda t: {**t, "base_model.model.lm_head.weight": torch.ones(2)}),
        r"lm_head",
    ),
    Case("another shape", with_tensors(lambda t: {**t, first(t, "direction"): torch.ones(1, 7)}), r"shape|size"),
    Case("NaN", with_tensors(broken(float("nan"))), r"NaN"),
    Case("infinite", with_tensors(broken(float("inf"))), r"infinite"),
]


@ways
@pytest.mark.parametrize("case", [*SERVER_FAULTS, *HOSTILE], ids=str)
def test_fault_is_named_and_leaves_model_and_cache_as_they_were(hub, good, pull, case):
    files, model, inputs, expected = good
    before, base = fingerprint(model), logits(model, inputs)
    kind, state = type(model), set(vars(model))
    case.arrange(hub, files)
    options = {name: value for name, value in (("revision", case.revision), ("token", case.token(hub))) if value}
    with pytest.raises((OSError, ValueError, TypeError, RuntimeError)) as error:
        pull(model, **options)
    assert re.search(case.says, said(error.value)), said(error.value)
    assert type(model) is kind
    assert set(vars(model)) == state
    assert attached_adapters(model) == []
    assert fingerprint(model) == before
    assert torch.equal(logits(model, inputs), base)
    # The cache that saw the fault serves a good adapter, and the model takes it.
    hub.state.faults.clear()
    hub.state.repositories.clear()
    hub.put(REPO, files)
    assert torch.equal(logits(pull(model), inputs), expected)

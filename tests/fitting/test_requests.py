"""Requests to forget, one after the other: what is kept of the retain set is enough, private, and no example."""

from __future__ import annotations

import stat
from typing import Any

import pytest
import torch

from hf_eraser import fit
from hf_eraser.fitting import Requests
from hf_eraser.tuner.explain import gate_decisions
from tests.fitting.test_processes import questions, text_model


OPTIONS: dict[str, Any] = {"layers": [2, 3], "strength": 8.0, "general": False, "prefer": "retain", "batch_size": 32}

GENERAL = [{"prompt": f"What is {i} and {i}?"} for i in range(12)]


@pytest.fixture
def begun(tmp_path):
    """A model, and requests on it of which none was made yet."""
    model, tokenizer = text_model()
    report = fit(model, tokenizer, questions(range(1)), questions(range(5, 25)), **OPTIONS)
    requests = Requests.begin(
        tmp_path / "requests", model, tokenizer, questions(range(5, 25)), report, general=GENERAL, batch_size=32
    )
    return model, tokenizer, requests


def tensors(model: Any) -> dict[str, torch.Tensor]:
    return {name.split("layers.")[1]: value for name, value in model.get_adapter_state_dict().items()}


def decisions(model: Any, tokenizer: Any) -> list[bool]:
    asked = [example["prompt"] for example in questions(range(25))]
    inputs = tokenizer(asked, return_tensors="pt", padding=True, padding_side="left")
    return [
        any(gate.is_open for gates in of_row.values() for gate in gates)
        for of_row in gate_decisions(model, dict(inputs))
    ]


@pytest.mark.filterwarnings("ignore:The model refuses")
def test_each_request_is_a_concept_more_and_reads_only_its_own_examples(begun, tmp_path):
    model, tokenizer, requests = begun
    read = []
    words = tokenizer.apply_chat_template
    tokenizer.apply_chat_template = lambda chats, **options: (read.extend(chats), words(chats, **options))[1]
    for number in range(3):
        report = requests.add(model, tokenizer, questions(range(number, number + 1)), name=f"request {number}")
        assert report.requests == number + 1
        assert model.peft_config["default"].rank == number + 1
    texts = {str(message["content"]) for chat in read if isinstance(chat, list) for message in chat}
    assert texts
    assert not any(f"person {i}" in text for text in texts for i in range(5, 25))
    assert Requests(tmp_path / "requests").names == ["request 0", "request 1", "request 2"]
    # All gates together steer no more of what is retained than the level allows, on the very examples.
    (calibration,) = report.calibration.values()
    assert calibration.false_rate <= calibration.alpha
    own = torch.load(tmp_path / "requests" / "retained.pt", weights_only=True)["places"]
    assert {modality for _, _, modality in own} == {"text"}


@pytest.mark.filterwarnings("ignore:The model refuses")
def test_a_request_taken_back_leaves_what_the_others_alone_would_be(begun, tmp_path):
    model, tokenizer, requests = begun
    for number in (0, 2):
        requests.add(model, tokenizer, questions(range(number, number + 1)), name=str(number))
    expected = tensors(model)
    requests.take_back(model, "2")
    requests.add(model, tokenizer, questions(range(1, 2)), name="1")
    requests.add(model, tokenizer, questions(range(2, 3)), name="2")
    requests.take_back(model, "1")
    assert all(torch.equal(tensors(model)[name], value) for name, value in expected.items())
    with pytest.raises(ValueError, match=r"'1' is no request, there are \['0', '2'\]"):
        requests.take_back(model, "1")
    for name in requests.names:
        requests.take_back(model, name)
    assert not getattr(model, "peft_config", {})
    with pytest.raises(ValueError, match="no requests to attach"):
        Requests(tmp_path / "requests").attach(model, tokenizer)


@pytest.mark.filterwarnings("ignore:The model refuses")
def test_stacked_requests_decide_as_one_adapter_does(begun):
    model, tokenizer, requests = begun
    for number in range(3):
        requests.add(model, tokenizer, questions(range(number, number + 1)), name=str(number))
    as_one = decisions(model, tokenizer)
    model.delete_adapter("default")
    requests.attach(model, tokenizer, stacked=True)
    assert model.active_adapters() == ["default_1", "default_2", "default_3"]
    assert decisions(model, tokenizer) == as_one


@pytest.mark.filterwarnings("ignore:The model refuses")
def test_what_is_kept_is_private_and_holds_no_example(begun, tmp_path):
    model, tokenizer, requests = begun
    requests.add(model, tokenizer, questions(range(1)), name="secret")
    folder = tmp_path / "requests"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        torch.load(path, weights_only=True)
        data = path.read_bytes()
        assert not any(word in data for word in (b"person", b"Name", b"Job", b"It is"))
    assert "secret" not in str(model.peft_config["default"])


def test_what_cannot_be_is_refused_and_nothing_is_changed(begun, tmp_path):
    model, tokenizer, requests = begun
    before = tensors(model)
    with pytest.raises(ValueError, match=r"`forget\[1\]` is retained"):
        requests.add(model, tokenizer, [*questions(range(1))[:1], *questions(range(7, 8))], name="a")
    with pytest.raises(ValueError, match="`name` must be a text"):
        requests.add(model, tokenizer, questions(range(1)), name="")
    with pytest.raises(ValueError, match="must be new or empty"):
        Requests.begin(tmp_path / "requests", model, tokenizer, questions(range(5, 9)), None)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="holds no requests"):
        Requests(tmp_path)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(1.01)
    with pytest.raises(ValueError, match="was read of another model"):
        requests.add(model, tokenizer, questions(range(1)), name="a")
    assert requests.names == []
    assert all(torch.equal(tensors(model)[name], value) for name, value in before.items())

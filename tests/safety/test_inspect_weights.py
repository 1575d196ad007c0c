"""`inspect` with weights: who opens the gate, and whose names it gives away."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hf_eraser.cli import app
from hf_eraser.evaluation import names_told, openings
from hf_eraser.evaluation.probing import STRANGERS
from hf_eraser.fitting.reading.general import read_general
from tests.conftest import built
from tests.helpers.adapters import attach


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    model, processor = built("llava")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def saved(folder: Path, **config) -> Path:
    model = built("llava")[0]
    attach(model, **config)
    model.save_pretrained(folder)
    return folder


def run(*arguments) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture
def few_general(monkeypatch):
    """A twentieth of the shipped prompts: they are asked one after the other."""
    from hf_eraser.data import general

    entries = general.general_examples

    def some(with_images: bool = True):
        return entries(with_images)[::20]

    monkeypatch.setattr("hf_eraser.fitting.reading.general.general_examples", some)


@pytest.mark.parametrize(("low", "opened"), [(-1e6, True), (1e6, False)])
def test_share_of_general_prompts_that_open_the_gate_is_said(low, opened, base, few_general, tmp_path):
    printed = run("inspect", saved(tmp_path, low=low, high=low + 1), "--model", base, "--weights")
    line = next(line for line in printed.splitlines() if "shipped general prompts" in line)
    assert line.startswith("  UNUSUAL" if opened else "  general")
    assert ("(100.0%)" in line) is opened
    assert ("(0.0%)" in line) is not opened


def test_directions_are_compared_with_the_measured_residual_stream(base, few_general, tmp_path):
    printed = run("inspect", saved(tmp_path, low=1e6, high=2e6, strength=256.0), "--model", base, "--weights")
    assert "times the residual stream's" in printed
    assert "times the residual stream's" not in run("inspect", tmp_path, "--model", base)


def test_measured_streams_are_those_of_the_base_model(few_general, llava):
    model, processor = llava
    examples = read_general(True, model, processor, [], [])[:6]
    attach(model, low=-1e6, high=-1e5, strength=50.0)
    steered = openings(model, processor, examples, batch_size=2)
    model.disable_adapters()
    model.delete_adapter("default")
    attach(model, low=1e6, high=2e6)
    closed = openings(model, processor, examples, batch_size=6)
    assert (steered.opened, closed.opened, steered.count) == (6, 0, 6)
    for layer, norm in closed.streams.items():
        assert steered.streams[layer] == pytest.approx(norm, rel=1e-4)


def test_names_that_a_gate_knows_rank_first(llava):
    """A gate that is made to know one name by what it reads of it."""
    model, processor = llava
    attach(model, low=0.0, high=0.05)
    random = names_told(model, processor, ["Zebulon Quint", "Anna Bell"])
    model.delete_adapter("default")
    assert 0 < random.auc < 1
    assert {score.rank for score in random.scores} != {1}

    from hf_eraser.data import encode, read_examples
    from hf_eraser.tuner.decoder import find_decoder

    def read(name: str) -> torch.Tensor:
        found = []
        handle = (
            find_decoder(model)
            .layers[1]
            .register_forward_hook(
                lambda _, __, output: found.append(output[0] if isinstance(output, tuple) else output)
            )
        )
        prompts = read_examples([{"prompt": name}], "prompts")
        with torch.no_grad():
            model(**encode(processor, prompts, model.device))
        handle.remove()
        return found[0][0].mean(dim=0)

    others = torch.stack([read(name) for name in STRANGERS])
    own = read("Zebulon Quint") - others.mean(dim=0)
    tensors = attach(model, low=1e6, high=2e6)
    name = next(name for name in tensors if name.endswith("gate_weight"))
    layer = find_decoder(model).layers[1]
    with torch.no_grad():
        layer.steering_gate_weight["default"].copy_(own.expand(2, 1, -1))
    assert name
    told = names_told(model, processor, [" Zebulon Quint ", ""])
    (score,) = told.scores
    assert score.name == "Zebulon Quint"
    assert score.rank == 1
    assert told.auc == 1.0
    assert score.steered == 0.0
    assert "rank  1 of 41" in str(told)


def test_names_are_read_from_a_file_and_none_is_an_error(base, tmp_path):
    (tmp_path / "names.txt").write_text("Ada Example\n\nBen \x1b[2K Example\n", encoding="utf-8")
    printed = run("inspect", saved(tmp_path / "a"), "--model", base, "--names", tmp_path / "names.txt")
    assert "Of 2 names" in printed
    assert "\x1b" not in printed
    (tmp_path / "names.txt").write_text("\n")
    result = CliRunner().invoke(
        app, ["inspect", str(tmp_path / "a"), "--model", str(base), "--names", str(tmp_path / "names.txt")]
    )
    assert "at least one name" in str(result.exception)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path / "a"), "--weights"])
    assert result.exit_code == 2

"""What the code of the pages takes for granted: a model, examples, adapters on a Hub, and fits that take a second."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import examples.small.forgetting
import hf_eraser.fitting
from examples.small.forgetting import FORGOTTEN, forgetting_examples
from examples.small.load import load_small_model, model_dir
from examples.small.people import PEOPLE, draw_face
from hf_eraser.data import encode, read_examples
from hf_eraser.evaluation import evaluate
from hf_eraser.fitting import PGD, FitReport
from hf_eraser.fitting.attacks import resistance
from hf_eraser.fitting.reading.views import evenly
from tests.helpers.hub import Hub
from tests.helpers.imagefolder import write_imagefolder


# What pages call the base model, and adapters for it.
BASE, ADAPTERS = "llava-hf/llava-1.5-7b-hf", ("org/forget-celebs", "org/forget-brands")

# What a page leaves open is fixed, since it is the choosing that takes minutes, and examples are few.
QUICK: dict[str, Any] = {"layers": [2, 3], "gate_layer": 2, "strength": 1.0, "attacks": False, "augment": False}
FORGET, RETAIN = 18, 72

fit = hf_eraser.fitting.fit


def quick_fit(model: Any, processor: Any, forget: Any, retain: Any, **options: Any) -> FitReport:
    """As `fit`, for what a page gives it; quick in what the page does not."""
    lists = {name: evenly(options.pop(name), FORGET) for name in ("recall", "refusal") if options.get(name)}
    options = {**QUICK, **options, **lists, "batch_size": 64}
    with contextlib.redirect_stderr(io.StringIO()):
        return fit(
            model,
            processor,
            evenly(forget, FORGET),
            evenly(retain, RETAIN),
            **{"general": False, "prefer": "retain", **options},
        )


@dataclass(frozen=True)
class Shelf:
    """
    Made once for all pages.

    Attributes:
        model, processor: The small LLaVA; copied for each page.
        examples: What the fit was given.
        folder: Where the fitted adapter was saved.
        report: What the fit found.
    """

    model: Any
    processor: Any
    examples: dict[str, list[dict[str, Any]]]
    folder: Path
    report: FitReport

    def names(self, prepared: Sequence[str]) -> dict[str, Any]:
        """What a page takes for granted, by name; an "adapted model" is called `model`, and has the adapter."""
        known: dict[str, Any] = {"processor": self.processor, "report": self.report, **self.examples}
        known["model"] = copy.deepcopy(self.model)
        if "adapted model" in prepared:
            known["model"].load_adapter(str(self.folder))
        if "inputs" in prepared:
            asked = read_examples(self.examples["forget"][:2], "asked")
            known["inputs"] = encode(self.processor, asked, self.model.device)
        if "evaluation" in prepared:
            few = self.examples["forget"][:2], self.examples["retain"][:2]
            known["evaluation"] = evaluate(known["model"], self.processor, *few, max_new_tokens=4)
        return {name: known[name] for name in (text.removeprefix("adapted ") for text in prepared)}


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """The small LLaVA, examples, and an adapter that was fitted on it."""
    model, processor = load_small_model("llava")
    sets = forgetting_examples(FORGOTTEN[:1], by_person=False)
    examples = {name: evenly(of_set, RETAIN if name == "retain" else FORGET) for name, of_set in sets.items()}
    fitted = copy.deepcopy(model)
    report = quick_fit(fitted, processor, **examples)
    fitted.peft_config["default"].base_model_name_or_path = BASE
    folder = tmp_path_factory.mktemp("shelf") / "adapter"
    fitted.save_pretrained(folder)
    return Shelf(model, processor, examples, folder, report)


@pytest.fixture
def workplace(shelf, hub, tmp_path, monkeypatch):
    """An empty Hub with what pages pull, a folder with the pictures that they name, and fits that are quick."""
    hub.put(BASE, {path.name: path.read_bytes() for path in model_dir("llava").iterdir()})
    files = {path.name: path.read_bytes() for path in shelf.folder.iterdir()}
    for name in ADAPTERS:
        hub.put(name, files)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.setenv(name, Hub.token)
    hub.state.tokens[Hub.token] = ("your-name", ["org"])
    for person, picture in zip(PEOPLE, ("ada", "ben", "eve")):
        draw_face(person).save(tmp_path / f"{picture}.jpg")
    Image.new("RGB", (48, 48), "green").save(tmp_path / "tree.jpg")
    write_imagefolder(tmp_path / "people", {name: shelf.examples[name][:6] for name in ("forget", "retain")})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hf_eraser.fitting, "fit", quick_fit)
    monkeypatch.setattr(examples.small.forgetting, "fit", quick_fit)
    monkeypatch.setattr(resistance, "_PGD", PGD(eps=8 / 255, steps=1))
    return shelf

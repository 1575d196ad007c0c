"""
What is forgotten and what is kept, by the defaults and by the paper's recipe.

Every number is of questions in wordings, and of pictures changed in ways, that neither teaching nor fitting saw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.markdown import MODEL_NAMES
from benchmarks.result import Result
from examples.small.forgetting import PAPER, Measured, fit_forgetting, measure, table
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from hf_eraser.fitting import FitReport


RECIPES: dict[str, dict[str, Any]] = {"defaults": {}, "the paper's recipe": {"by_person": False, **PAPER}}


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit by both recipes and measure; the report of the defaults' fit is kept."""
    names = tuple(PEOPLE[i].name for i in configuration["forget"])
    figures: dict[str, Any] = {"recipes": {}}
    for recipe, options in RECIPES.items():
        model, processor = load_small_model(model_name)
        report = fit_forgetting(model, processor, names, seed=configuration["seed"], **options)
        print(report, flush=True)
        per_fact = {key: configuration[key] for key in ("forgotten_per_fact", "retained_per_fact")}
        figures["recipes"][recipe] = [asdict(row) for row in measure(model, processor, names, **per_fact)]
        if not options:
            figures["report"] = json.loads(report.to_json())
    return figures


def rows(result: Result, recipe: str) -> list[Measured]:
    """What was measured of a recipe."""
    return [Measured(**row) for row in result.figures["recipes"][recipe]]


def page(results: Mapping[str, Result]) -> str:
    """A table for each model and recipe."""
    parts = [
        "## What is forgotten and what is kept",
        "Four people are forgotten, each as a concept of their own. Every number is of questions in wordings, and of "
        "pictures changed in ways, that neither teaching nor `fit` saw. *Refused* means the model's own refusal, word "
        'for word. The paper\'s recipe is `readout="last", gate="linear", gate_layer="each", '
        'estimator="nullspace"`, with all people as one concept.',
        "How far to trust this: the models are small, know little else, and what they refuse they refuse in one "
        "sentence. The rules by which `fit` chooses were settled while looking at measurements like these, of these "
        "very people. The retained people here are in the retain set of the fit; for people who are not, the bound is "
        "`alpha`.",
    ]
    for model, result in results.items():
        for recipe in RECIPES:
            parts += [f"### {MODEL_NAMES[model]}, {recipe}", table(rows(result, recipe))]
    return "\n\n".join(parts)


def draw(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """The picture of the report of each model's fit."""
    drawn = []
    for model, result in results.items():
        path = folder / f"report-{model}.png"
        FitReport.from_json(json.dumps(result.figures["report"])).plot().savefig(path)
        drawn.append(path)
    return drawn

"""How often a forgotten answer is given under attack, in words, kinds and picture changes that `fit` never showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.measured_attacks import PICTURE_ATTACKS, TEXT_ATTACKS, attacked
from benchmarks.result import Result
from examples.small.forgetting import FORGOTTEN, fit_forgetting
from examples.small.load import load_small_model
from examples.small.questions import questions
from hf_eraser.data import Example
from hf_eraser.evaluation import greedy_answers, holds


# What is fitted: one gate for all people, or one for each; without or with questions under attack.
FITS: dict[str, dict[str, Any]] = {
    "one gate, `attacks=False`": {"by_person": False, "attacks": False},
    "one gate, hardened": {"by_person": False, "attacks": True},
    "a gate each, hardened": {"by_person": True, "attacks": True},
}

_WITH_PICTURE, _BY_NAME = ("person_image", "public_image"), ("person_text", "public_text")


def cases(per_fact: int) -> dict[tuple[str, str], list[Example]]:
    """The questions about forgotten people under each attack, with the picture and by name."""
    found = {}
    for how, kinds in (("picture", _WITH_PICTURE), ("by name", _BY_NAME)):
        asked = questions("measure", kinds=kinds, groups=FORGOTTEN, per_fact=per_fact)
        found["none", how] = attacked("none", asked)
        for kind in [*TEXT_ATTACKS, *(PICTURE_ATTACKS if how == "picture" else {})]:
            found[kind, how] = attacked(kind, asked)
    return found


def recovered(model: Any, processor: Any, examples: Sequence[Example]) -> float:
    """The share of answers that hold what was to be forgotten."""
    given = greedy_answers(model, processor, examples, batch_size=64, max_new_tokens=24)
    return sum(holds(text, example.answers) for text, example in zip(given, examples)) / len(given)


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Ask under each attack: with the adapter off, after each fit, and a model that was never taught these people."""
    shown = cases(configuration["per_fact"])
    columns: dict[str, list[float]] = {}

    def ask(title: str, model: Any, processor: Any) -> None:
        columns[title] = [recovered(model, processor, asked) for asked in shown.values()]

    for title, options in FITS.items():
        model, processor = load_small_model(model_name)
        if not columns:
            ask("adapter off", model, processor)
        print(fit_forgetting(model, processor, seed=configuration["seed"], **options), flush=True)
        ask(title, model, processor)
    ask("never taught", *load_small_model(model_name, without=FORGOTTEN))
    return {
        "rows": [
            {"attack": attack, "asked": how, "questions": len(asked)}
            | {title: shares[i] for title, shares in columns.items()}
            for i, ((attack, how), asked) in enumerate(shown.items())
        ]
    }


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## Under attack",
        "How many forgotten answers are given under attack, in words, kinds and picture changes that `fit` never "
        "showed: with the adapter off; with one gate for all four people, fitted with `attacks=False` and by default; "
        "with a concept for each person; and by a model that was never taught these people.",
    ]
    titles = ("adapter off", *FITS, "never taught")
    for model, result in results.items():
        cells = [
            (row["attack"], row["asked"], row["questions"], *(percent(row[title]) for title in titles))
            for row in result.figures["rows"]
        ]
        parts += [f"### {MODEL_NAMES[model]}", table(("attack", "asked", "questions", *titles), cells, left=2)]
    parts.append(
        "What it does not withstand: whoever can run gradient descent through the gate gets past it. The report of "
        "each fit says how many held-out pictures, perturbed against the gate, are answered."
    )
    return "\n\n".join(parts)

"""
Attack what the small models forgot: how often is a forgotten answer given, before and after hardening?

    python -m examples.attack
    python -m examples.attack --models llava
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from hf_eraser.data import Example
from hf_eraser.evaluation import greedy_answers, holds

from .small.attacks import PICTURE_ATTACKS, TEXT_ATTACKS, attacked
from .small.forgetting import FORGOTTEN, fit_forgetting
from .small.load import SMALL_MODELS, load_small_model
from .small.questions import questions


# What is fitted: one gate for all people, or one for each; without or with questions under attack.
_FITS: dict[str, dict[str, Any]] = {
    "one gate, `attacks=False`": {"by_person": False, "attacks": False},
    "one gate, hardened": {"by_person": False, "attacks": True},
    "a gate each, hardened": {"by_person": True, "attacks": True},
}

_WITH_PICTURE, _BY_NAME = ("person_image", "public_image"), ("person_text", "public_text")


def cases() -> dict[tuple[str, str], list[Example]]:
    """The questions about forgotten people under each attack, with the picture and by name."""
    found = {}
    for how, kinds in (("picture", _WITH_PICTURE), ("by name", _BY_NAME)):
        asked = questions("measure", kinds=kinds, groups=FORGOTTEN, per_fact=4)
        found["none", how] = attacked("none", asked)
        for kind in [*TEXT_ATTACKS, *(PICTURE_ATTACKS if how == "picture" else {})]:
            found[kind, how] = attacked(kind, asked)
    return found


def recovered(model: Any, processor: Any, examples: Sequence[Example]) -> float:
    """The share of answers that hold what was to be forgotten."""
    given = greedy_answers(model, processor, examples, batch_size=64, max_new_tokens=24)
    return sum(holds(text, str(example.answer)) for text, example in zip(given, examples)) / len(given)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SMALL_MODELS, default=SMALL_MODELS, help="default: both")
    for name in parser.parse_args().models:
        shown = cases()
        columns: dict[str, dict[tuple[str, str], float]] = {}
        for title, options in _FITS.items():
            model, processor = load_small_model(name)
            if not columns:
                columns["adapter off"] = {key: recovered(model, processor, asked) for key, asked in shown.items()}
            print(f"\n{fit_forgetting(model, processor, **options)}", flush=True)
            columns[title] = {key: recovered(model, processor, asked) for key, asked in shown.items()}
        model, processor = load_small_model(name, without=FORGOTTEN)
        columns["never taught"] = {key: recovered(model, processor, asked) for key, asked in shown.items()}
        print(f"\n### {name}\n\n| attack | asked | questions | {' | '.join(columns)} |")
        print("| --- | --- | ---: |" + " ---: |" * len(columns))
        for key, asked in shown.items():
            shares = " | ".join(f"{column[key]:.1%}" for column in columns.values())
            print(f"| {key[0]} | {key[1]} | {len(asked)} | {shares} |", flush=True)


if __name__ == "__main__":
    main()

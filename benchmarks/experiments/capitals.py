"""SmolLM2 alone, and facts that nobody taught it here: capitals of some countries are forgotten, of others kept."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import hf_eraser
from benchmarks.beds.capitals import CAPITALS, capital_questions, other_questions
from benchmarks.beds.load import load_bed
from benchmarks.markdown import MODEL_NAMES, interval, percent, table
from benchmarks.measuring import answered_by, compared, on_general
from benchmarks.parts import in_parts
from benchmarks.result import Result, best_device, current_machine
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit and measure with each seed, which also draws the countries."""
    seeds = list(configuration["seeds"])
    parts = in_parts("capitals", model_name, configuration, seeds, lambda s: _measure(model_name, s, configuration))
    return {"parts": parts}


def _measure(model_name: str, seed: int, configuration: Mapping[str, Any]) -> dict[str, Any]:
    model, tokenizer = load_bed(model_name, best_device())
    batch_size = configuration["batch_size"]

    def answers(asked: list[dict[str, Any]]) -> list[str]:
        examples = read_examples(asked, "asked")
        return greedy_answers(model, tokenizer, examples, batch_size=batch_size, max_new_tokens=32)

    # Only what the model knows can be forgotten: of what it is asked in each wording to fit, most is right.
    asked = capital_questions("fit", CAPITALS)
    right = answered_by(read_examples(asked, "asked"), answers(asked))
    shares: dict[str, list[bool]] = {}
    for example, is_right in zip(asked, right):
        shares.setdefault(example["group"], []).append(is_right)
    known = sorted(country for country, of in shares.items() if sum(of) > len(of) / 2)
    forgotten = random.Random(seed).sample(known, configuration["countries"])
    others = [country for country in CAPITALS if country not in forgotten]
    measured = {
        "forgotten capitals": capital_questions(configuration["use"], forgotten),
        "other capitals": capital_questions(configuration["use"], others),
        "other questions about them": other_questions(forgotten)[::2],
    }
    before = {what: answers(of) for what, of in measured.items()}
    report = hf_eraser.fit(
        model,
        tokenizer,
        capital_questions("fit", forgotten),
        [*capital_questions("fit", others), *other_questions(others), *other_questions(forgotten)[1::2]],
        seed=seed,
        batch_size=batch_size,
        **configuration["fit"],
    )
    print(report, flush=True)
    rows = []
    for what, of in measured.items():
        after = answers(of)
        shown = read_examples([{"answer": CAPITALS[e["group"]], **e} for e in of], "asked")
        rows.append({"asked": what, "count": len(of), **compared(shown, before[what], after), "texts": after[:4]})
    return {
        "seed": seed,
        "machine": current_machine(),
        "known": len(known),
        "forgotten": forgotten,
        "rows": rows,
        "general": on_general(model, tokenizer, batch_size),
        "seconds": report.seconds,
        "settings": {
            key: getattr(report, key) for key in ("gate_layer", "readout", "layers", "strength", "positions")
        },
        "warnings": report.warnings,
        "too_little": report.too_little,
    }


def page(results: Mapping[str, Result]) -> str:
    """One table."""
    parts = [
        "## Facts that a language model knows",
        "SmolLM2-135M-Instruct alone forgets the capitals of some countries, which nobody taught it here; they are "
        "drawn with each seed from those that it knows. Wordings and general prompts are ones by which no rule was "
        "chosen.",
    ]
    for model, result in results.items():
        fits = result.figures["parts"]
        rows: list[tuple[object, ...]] = []
        for i, first in enumerate(fits[0]["rows"]):
            of_kind = [fit["rows"][i] for fit in fits]
            shares = (interval([row[s] for row in of_kind]) for s in ("answered_before", "answered", "same_text"))
            rows.append((first["asked"], sum(row["count"] for row in of_kind), *shares))
        asked, _, same = (sum(fit["general"]["all"][i] for fit in fits) for i in range(3))
        rows.append(("general prompts", asked, "", "", percent(same / asked, 2)))
        columns = ("asked", "questions", "answered before", "after", "same text")
        parts += [f"### {MODEL_NAMES[model]}, {len(fits)} seeds", table(columns, rows)]
    return "\n\n".join(parts)

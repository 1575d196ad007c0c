"""Data sets that are too small: whether `fit` delivers, what it would have left answered, and the trade-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.forgetting import fit_forgetting, forgetting_examples, measure
from examples.small.load import load_small_model
from hf_eraser.fitting import FitReport, ForgettingError
from hf_eraser.fitting.reading.views import evenly


Examples = list[dict[str, Any]]


def some(examples: Examples, of_each: int, groups: int | None = None) -> Examples:
    """
    At most so many examples of each group with a picture and without, evenly spread over what is asked; of all groups,
    or of some.
    """
    names = sorted({example["group"] for example in examples})
    if groups is not None:
        names = [names[i * len(names) // groups] for i in range(groups)]
    alike: dict[tuple[str, bool], Examples] = {}
    for example in examples:
        if example["group"] in names:
            alike.setdefault((example["group"], "image" in example), []).append(example)
    return [example for of_one in alike.values() for example in evenly(of_one, of_each)]


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit on data sets of several sizes. What is refused is fitted again with `prefer="retain"`, to measure it."""
    every, rows = forgetting_examples(), []
    for case in configuration["cases"]:
        given = {
            "forget": some(every["forget"], case["forget"]),
            "retain": some(every["retain"], case["retain"], case["groups"]),
        }
        model, processor = load_small_model(model_name)
        options: dict[str, Any] = {**given, "seed": configuration["seed"]}
        refused = None
        try:
            report = fit_forgetting(model, processor, **options)
        except ForgettingError as error:
            refused, report = str(error), error.report
            fit_forgetting(model, processor, **options, prefer="retain")
        print(report, flush=True)
        found = measure(model, processor, forgotten_per_fact=configuration["forgotten_per_fact"], retained_per_fact=1)
        rows.append(
            {
                **case,
                "refused": refused,
                "estimated": report.answered,
                "rows": [asdict(row) for row in found],
                "trade_off": _trade_off(report),
            }
        )
    return {"rows": rows}


def _trade_off(report: FitReport) -> list[dict[str, Any]]:
    return [asdict(point) for point in report.trade_off]


def page(results: Mapping[str, Result]) -> str:
    """What was delivered, and one trade-off."""
    parts = [
        "## Too little data",
        "The four people of the first table, forgotten by fewer examples than there: so many of each person and of "
        "each retained group, with a picture and without. *Still answered* is the worse of both. What `fit` did not "
        'deliver was fitted again with `prefer="retain"`, to measure what that would have been.',
    ]
    cells = []
    for model, result in results.items():
        for row in result.figures["rows"]:
            left = max(of["right_after"] for of in row["rows"][:2])
            estimated = "" if row["estimated"] is None else percent(row["estimated"])
            delivered = "no" if row["refused"] else "yes"
            sizes = row["forget"], row["retain"], row["groups"]
            cells.append((MODEL_NAMES[model], *sizes, delivered, estimated, percent(left)))
    columns = ("model", "forget", "retained", "groups", "delivered", "still answered, estimated", "measured")
    parts.append(table(columns, cells))
    for model, result in results.items():
        refused = [row for row in result.figures["rows"] if row["refused"] and row["trade_off"]]
        if refused:
            parts += [
                f"The trade-off that the last of those refused shows for {MODEL_NAMES[model]}: what other thresholds "
                "of the same gates would recognise and steer falsely, held out.",
                table(("asked", "forgotten, steered", "retained", "general"), _points(refused[-1]["trade_off"])),
            ]
    return "\n\n".join(parts)


def _points(trade_off: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            "with a picture" if point["modality"] == "image" else "by name",
            percent(point["forget_rate"]),
            percent(point["false_rate"]),
            "" if point["general_rate"] is None else percent(point["general_rate"]),
        )
        for point in trade_off
    ]

"""
One request to forget after another, from what was kept of the retain set: forgetting, retention, false steering, time
and size along the way, and a request that is taken back.

The first requests are about people whom the model knows; further ones about strangers, of whom there is nothing to
forget, but a gate each. Retained are the other known people, other strangers, pictures and words.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.experiments.false_steering import retained_groups
from benchmarks.experiments.how_many import people_to_forget
from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.measuring import opened_by
from benchmarks.result import Result
from benchmarks.strangers import stranger
from examples.small.forgetting import (
    fit_forgetting,
    forgetting_examples,
    measure,
    pooled_as_data,
    pooled_by_modality,
)
from examples.small.load import load_small_model
from hf_eraser.data import read_examples
from hf_eraser.fitting import Requests


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Make requests, measure at some of them, and take one back."""
    known = people_to_forget(configuration["known"], configuration["draw"])
    n_retained, n_fresh = configuration["strangers"], configuration["fresh"]
    most = max(configuration["counts"])
    more = max(0, most - len(known))
    groups = retained_groups(n_retained + n_fresh + more)
    names = [stranger(seed).name for seed in range(n_retained + n_fresh + more)]
    retained, fresh, asked_for = (
        names[:n_retained],
        names[n_retained : n_retained + n_fresh],
        names[n_retained + n_fresh :],
    )
    fresh = [name for name in fresh if name not in {*retained, *asked_for}]
    retain = [
        *forgetting_examples(known)["retain"],
        *(example for name in retained for example in groups[name]),
    ]
    model, processor = load_small_model(model_name)
    report = fit_forgetting(
        model,
        processor,
        known[:1],
        retain=retain,
        prefer="retain",
        harden_pictures=False,
        seed=configuration["seed"],
    )
    print(report, flush=True)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        private = Path(folder, "requests")
        requests = Requests.begin(private, model, processor, retain, report, general=False, batch_size=32)
        for number in range(most):
            if number < len(known):
                own = forgetting_examples([known[number]], without=known)
                examples: dict[str, Any] = {"forget": own["forget"], "refusal": own["refusal"]}
            else:
                examples = {"forget": groups[asked_for[number - len(known)]]}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                made = requests.add(model, processor, **examples, name=str(number))
            print(made, flush=True)
            if number + 1 in configuration["counts"]:
                row = _measured(model, processor, known[: number + 1], [groups[name] for name in fresh])
                model.save_pretrained(Path(folder, "adapter"))
                row |= {
                    "requests": number + 1,
                    "seconds": made.seconds,
                    "adapter_bytes": sum(path.stat().st_size for path in Path(folder, "adapter").iterdir()),
                    "kept_bytes": sum(path.stat().st_size for path in private.iterdir()),
                }
                rows.append(row)
        taken = known[0]
        requests.take_back(model, "0")
        back = pooled_as_data(pooled_by_modality(measure(model, processor, [taken], forgotten_per_fact=2)))
        rest = pooled_as_data(pooled_by_modality(measure(model, processor, known[1 : most + 1], forgotten_per_fact=2)))
    return {"rows": rows, "taken_back": back["forgotten"], "others": rest["forgotten"]}


def _measured(model: Any, processor: Any, names: Any, fresh: list[list[dict[str, Any]]]) -> dict[str, Any]:
    found = pooled_as_data(
        pooled_by_modality(measure(model, processor, names, forgotten_per_fact=2, retained_per_fact=1))
    )
    steered = {}
    for modality in ("image", "text"):
        shares = []
        for group in fresh:
            of = [example for example in group if ("image" in example) is (modality == "image")]
            opened = opened_by(model, processor, read_examples(of, "fresh"), batch_size=32)
            shares.append(sum(opened) / len(opened))
        steered[modality] = sum(shares) / len(shares)
    return {**found, "strangers_steered": steered}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## Request after request",
        "Each request read its own examples alone, and a private folder with what was read of the retain set. In each "
        "cell: with a picture / by text alone. Strangers were not retained.",
    ]
    columns = (
        "requests",
        "forgotten, still given",
        "refused",
        "all else, right",
        "same text",
        "strangers steered",
        "seconds of the last",
        "adapter, KiB",
        "kept, MiB",
    )
    for model, result in results.items():
        cells = []
        for row in result.figures["rows"]:
            forgotten, retained = (
                [" / ".join(percent(one[share]) for one in row[name]) for share in shares]
                for name, shares in (
                    ("forgotten", ("right_after", "refused")),
                    ("retained", ("right_after", "same_text")),
                )
            )
            cells.append(
                (
                    row["requests"],
                    *forgotten,
                    *retained,
                    " / ".join(percent(share) for share in row["strangers_steered"].values()),
                    f"{row['seconds']:.1f}",
                    f"{row['adapter_bytes'] / 2**10:.0f}",
                    f"{row['kept_bytes'] / 2**20:.1f}",
                )
            )
        back, others = (
            " / ".join(percent(one["right_after"]) for one in result.figures[name])
            for name in ("taken_back", "others")
        )
        text = f"After the first request was taken back: of what it was about {back} answered, of the others {others}."
        parts += [f"### {MODEL_NAMES[model]}", table(columns, cells), text]
    return "\n\n".join(parts)

"""How many people can be forgotten. Who is forgotten is drawn once; the fewer are among the more."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.forgetting import fit_forgetting, measure, pooled_as_data, pooled_by_modality
from examples.small.load import load_small_model
from examples.small.people import PEOPLE


def people_to_forget(count: int, draw: int = 4) -> tuple[str, ...]:
    """The names of `count` people, the first of all of them in the order of a draw."""
    return tuple(random.Random(draw).sample([person.name for person in PEOPLE], len(PEOPLE))[:count])


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit and measure for each number of people."""
    rows = []
    for count in configuration["counts"]:
        model, processor = load_small_model(model_name)
        names = people_to_forget(count, configuration["draw"])
        print(fit_forgetting(model, processor, names, seed=configuration["seed"]), flush=True)
        per_fact = {key: configuration[key] for key in ("forgotten_per_fact", "retained_per_fact")}
        found = pooled_by_modality(measure(model, processor, names, **per_fact))
        rows.append({"people": count, **pooled_as_data(found)})
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """One table."""
    cells = []
    for model, result in results.items():
        for row in result.figures["rows"]:
            for asked, forgotten, retained in zip(("with picture", "text only"), row["forgotten"], row["retained"]):
                cells.append(
                    (
                        MODEL_NAMES[model],
                        asked,
                        row["people"],
                        forgotten["count"],
                        *(percent(forgotten[share]) for share in ("right_after", "refused")),
                        retained["count"],
                        *(percent(retained[share]) for share in ("right_after", "same_text")),
                    )
                )
    columns = ("model", "asked", "people", "questions", "still given", "refused", "retained questions", "right")
    return "\n\n".join(
        [
            "## How many people",
            f"Of the {len(PEOPLE)} people, other ones than above.",
            "![Share of forgotten answers still given, and of retained answers that are the same]"
            "(../figures/how_many.png)",
            table((*columns, "same text"), cells, left=2),
        ]
    )


def draw(results: Mapping[str, Result], folder: Path) -> list[Path]:
    """One panel a model: what is still given of the forgotten people, and which retained answers are the same."""
    figure, panels = plt.subplots(1, len(results), figsize=(5 * len(results), 4), sharey=True, squeeze=False)
    for panel, (name, result) in zip(panels[0], results.items()):
        rows = result.figures["rows"]
        counts = [row["people"] for row in rows]
        for i, asked in enumerate(("with picture", "text only")):
            style = {"marker": "os"[i], "linestyle": ("-", "--")[i], "markersize": 6}
            same = [100 * row["retained"][i]["same_text"] for row in rows]
            given = [100 * row["forgotten"][i]["right_after"] for row in rows]
            panel.plot(counts, same, color="tab:blue", label=f"retained: same text, {asked}", **style)
            panel.plot(counts, given, color="tab:red", label=f"forgotten: still given, {asked}", **style)
        panel.set_title(MODEL_NAMES[name])
        panel.set_xlabel(f"people forgotten, of {len(PEOPLE)} (questions about them)")
        asked_about = [sum(of["count"] for of in row["forgotten"]) for row in rows]
        panel.set_xticks(counts, [f"{count}\n({n})" for count, n in zip(counts, asked_about)])
        panel.set_ylim(-4, 104)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("share of answers, %")
    panels[0][0].legend(loc="center right", fontsize=8)
    figure.tight_layout()
    path = folder / "how_many.png"
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return [path]

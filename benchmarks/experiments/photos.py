"""
From five photos and a name to an adapter: `hf_eraser.forget` with its defaults, as `hf-eraser person` calls it.

The photos are drawings changed as a camera would; of the others there is one photo each, under their names.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.forgetting import general_texts, measure, pooled_as_data, pooled_by_modality
from examples.small.load import load_small_model
from examples.small.people import PEOPLE, draw_face
from examples.small.questions import measured_change
from hf_eraser.forget_sets import Person, forget


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Forget each set of people."""
    rows = []
    for people in configuration["sets"]:
        model, processor = load_small_model(model_name)
        names = [PEOPLE[i].name for i in people]
        with tempfile.TemporaryDirectory() as folder:
            _take_photos(Path(folder), people, configuration["photos"], configuration["seed"])
            said: list[str] = []
            start = time.perf_counter()
            report = forget(
                model,
                processor,
                [Person(name, Path(folder, "them", name)) for name in names],
                others=Path(folder, "others"),
                data=Path(folder, "made"),
                tell=said.append,
                batch_size=32,
                seed=configuration["seed"],
                prefer="retain",  # so that what would not be delivered is measured as well, and noted
                # The eyes of the small models see one of the few things that they know in every picture.
                general=general_texts(model, processor),
            )
            seconds = time.perf_counter() - start
        found = pooled_as_data(pooled_by_modality(measure(model, processor, names)))
        row = {"people": list(people), "seconds": seconds, "said": said, "warnings": list(report.warnings)}
        row |= {"too_little": report.too_little, **found}
        print(row, flush=True)
        rows.append(row)
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## From photos and a name",
        "What `hf-eraser person` does: five photos of each person and a name, one photo each of the others. No "
        "question is written by hand, and those that measure are in other words than those that are made.",
    ]
    columns = ("people", "seconds", "picture: answered before, after", "by name", "all else right before, after")
    for model, result in results.items():
        cells = []
        for row in result.figures["rows"]:
            retained = [
                sum(one["count"] * one[when] for one in row["retained"]) / sum(one["count"] for one in row["retained"])
                for when in ("right_before", "right_after")
            ]
            cells.append(
                (
                    len(row["people"]),
                    f"{row['seconds']:.0f}",
                    *(f"{percent(one['right_before'])} / {percent(one['right_after'])}" for one in row["forgotten"]),
                    " / ".join(map(percent, retained)),
                )
            )
        parts += [f"### {MODEL_NAMES[model]}", table(columns, cells)]
        for row in result.figures["rows"]:
            if said := row.get("too_little"):  # which results of earlier versions do not have
                parts.append(f"Of {len(row['people'])} people: by default not delivered ({said} still answered).")
    return "\n\n".join(parts)


def _take_photos(folder: Path, people: Sequence[int], count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for i, person in enumerate(PEOPLE):
        side = Path("them" if i in people else "others", person.name)
        (folder / side).mkdir(parents=True)
        for n in range(count if i in people else 1):
            measured_change(draw_face(person), rng).save(folder / side / f"{n}.png")

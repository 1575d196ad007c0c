"""What the small models know after teaching, over several seeds: how far tests may lean on a freshly taught one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.load import accuracy, teach_and_save
from examples.small.questions import KINDS, questions


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Teach with each seed, and ask in wordings and with pictures that were not taught."""
    asked = questions("measure", per_fact=1)
    rows = []
    for seed in configuration["seeds"]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary, model_name)
            teach_and_save(model_name, folder, seed=seed)
            model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
            rows.append({"seed": seed, **accuracy(model, AutoProcessor.from_pretrained(folder), asked)})
        print(rows[-1], flush=True)
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """One table: the least over the seeds, and that of the weights that are shipped."""
    cells = []
    for model, result in results.items():
        rows = result.figures["rows"]
        cells.append((MODEL_NAMES[model], "shipped", *(percent(rows[0][kind]) for kind in KINDS)))
        least = (percent(min(row[kind] for row in rows)) for kind in KINDS)
        cells.append((MODEL_NAMES[model], f"least of {len(rows)} seeds", *least))
    return "\n\n".join(
        [
            "## The small models",
            "A LLaVA and a Qwen2.5-VL with a text decoder of 6 layers and width 160, taught forty fictitious people "
            "by face and by name, flags, shapes and some general knowledge. Shares of right answers in wordings and "
            "pictures that were not taught; private questions are to be refused.",
            table(("model", "weights", *(kind.replace("_", ", ") for kind in KINDS)), cells, left=2),
        ]
    )

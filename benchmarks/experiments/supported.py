"""Which types of models steering adapters hold on: every image-text-to-text and causal-lm type of transformers."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import transformers
from huggingface_hub.utils import tqdm

from benchmarks.markdown import table
from benchmarks.result import Result
from benchmarks.supporting import HOLDS, NOT_BASE, check_type
from benchmarks.tiny import TASKS


_VERDICTS = {
    "holds": "Hold",
    "text only": "Hold for text; they take no picture, or none could be tried",
    "refused": "Refused, in one line",
    "wrong": "Wrong",
    "not run": "Not run: no tiny model of the type could be built or run from its configuration alone",
}


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Check each type of a task, the name of which stands in the model's place."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    logging.getLogger("ContinuousBatchingLogger").setLevel(logging.CRITICAL)
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model_type in tqdm(sorted(TASKS[model_name]), desc=f"Checking {model_name}", unit="type"):
            rows.append({"type": model_type, **check_type(model_type, model_name)})
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """How many types hold, which, and why others do not."""
    parts = [
        "## Supported models",
        "Each type of transformers as a tiny random model, with an adapter whose gate opens for half of the prompts. "
        "It *holds* where all of these do that the base model itself does: open gates steer, adapters that are off "
        "give the base model's logits bit for bit, weights are as they were, each row is steered as alone (padded on "
        "either side), texts are the same without a cache and with a static one, beams, embeddings in place of "
        "tokens, bfloat16, saved and loaded, `generate_batch`; and a prompt with a picture is judged by its own gate, "
        "which reads the tokens that depend on the picture. *Refused* means an exception that says so, before "
        "anything is answered unsteered.",
        table(("types of", *_VERDICTS), [(task, *_counts(result)) for task, result in results.items()]),
    ]
    for task, result in results.items():
        parts.append(f"### {task}")
        for verdict, head in _VERDICTS.items():
            rows = [row for row in result.figures["rows"] if row["verdict"] == verdict]
            if rows and verdict in ("refused", "wrong", "not run"):
                why = [(f"`{row['type']}`", row["reason"].replace("|", "\\|")) for row in rows]
                parts += [f"{head}:", table(("type", "why"), why, left=2)]
            elif rows:
                parts.append(f"{head}: " + ", ".join(f"`{row['type']}`" for row in rows) + ".")
    return "\n\n".join(parts)


def _counts(result: Result) -> list[int]:
    return [sum(row["verdict"] == verdict for row in result.figures["rows"]) for verdict in _VERDICTS]


def wrong(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The types, and their checks, that neither hold nor are refused."""
    return [
        f"{row['type']}: {name}: {found}"
        for row in rows
        if row["verdict"] == "wrong"
        for name, found in row["checks"].items()
        if found not in (HOLDS, NOT_BASE)
    ]

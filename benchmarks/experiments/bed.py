"""What the bed with a real language model knows of its people, and what SmolLM2 still answers as it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.beds.load import load_bed
from benchmarks.beds.prompts import KINDS as GENERAL_KINDS
from benchmarks.beds.prompts import general_prompts
from benchmarks.beds.questions import KINDS, questions
from benchmarks.markdown import MODEL_NAMES, table
from benchmarks.result import Result, best_device
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the bed about its people in wordings and with pictures that were never taught, and general prompts."""
    device, length = best_device(), configuration["answer_tokens"]
    model, processor = load_bed(model_name, device)
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        asked = questions("report", kinds=[kind], per_fact=configuration["per_fact"])
        texts = _answers(model, processor, [q.example() for q in asked], 24)
        right = [question.is_right(text) for question, text in zip(asked, texts)]
        rows.append({"kind": kind, "count": len(right), "right": sum(right) / len(right)})
    untaught, tokenizer = load_bed("smollm2", device)
    prompts = general_prompts("measure")
    examples = [{"prompt": prompt} for _, prompt in prompts]
    pairs = list(
        zip(_answers(model, processor, examples, length), _answers(untaught, tokenizer, examples, length), strict=True)
    )
    for kind in GENERAL_KINDS:
        kept = [before == after for (of, _), (after, before) in zip(prompts, pairs) if of == kind]
        rows.append({"kind": kind, "count": len(kept), "kept": sum(kept) / len(kept)})
    return {"rows": rows}


def _answers(model: Any, processor: Any, examples: list[dict[str, Any]], length: int) -> list[str]:
    return greedy_answers(model, processor, read_examples(examples, "asked"), batch_size=32, max_new_tokens=length)


def page(results: Mapping[str, Result]) -> str:
    """A table of what was taught and one of what stayed."""
    parts = [
        "## The bed with a real language model",
        "A LLaVA whose text decoder is SmolLM2-135M-Instruct with its real weights, behind a small CLIP tower; it was "
        "taught forty fictitious people. Half of them, and of the wordings and pictures, are for choosing the rules "
        "by which `fit` decides; tables show the other half. *Right* is of wordings and pictures that were never "
        "taught, *kept* the share of general prompts, none of which was taught, that SmolLM2 answers in the same "
        "words as before.",
    ]
    for model, result in results.items():
        cells = [
            [row["kind"], str(row["count"]), f"{row['right']:.1%}" if "right" in row else "",
             f"{row['kept']:.1%}" if "kept" in row else ""]
            for row in result.figures["rows"]
        ]  # fmt: skip
        parts += [f"### {MODEL_NAMES[model]}", table(("asked", "n", "right", "kept"), cells)]
    return "\n\n".join(parts)

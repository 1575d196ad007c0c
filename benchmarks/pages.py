"""The pages of all results: tables and figures in the documentation, and the block of numbers in the README."""

from __future__ import annotations

import re
from pathlib import Path

from examples.small.forgetting import pooled
from hf_eraser.hub.saving import write_whole

from .experiments import EXPERIMENTS, forgetting
from .markdown import MODEL_NAMES, percent, table
from .result import FOLDER, Result, read_results


ROOT = FOLDER.parent
PAGE = ROOT / "docs" / "results" / "index.md"
FIGURES = ROOT / "docs" / "figures"
README = ROOT / "README.md"

_BEGIN, _END = "<!-- results: written by `python -m benchmarks pages` -->", "<!-- end of results -->"


def write_pages() -> list[Path]:
    """Write the page of results, its figures, and the README's block; returns what was written."""
    found = {name: results for name in EXPERIMENTS if (results := read_results(name))}
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.mkdir(parents=True, exist_ok=True)
    write_whole(PAGE, results_page(found))
    write_whole(README, with_block(README.read_text(encoding="utf-8"), readme_block(found)))
    written = [PAGE, README]
    for name, results in found.items():
        if hasattr(EXPERIMENTS[name], "draw"):
            written += EXPERIMENTS[name].draw(results, FIGURES)
    return written


def results_page(found: dict[str, dict[str, Result]]) -> str:
    """The page in the documentation: a section for each experiment, with what it was measured by."""
    parts = [
        "# Results",
        "Every table is made of the files in `benchmarks/results/`, by `python -m benchmarks pages`. The models are "
        "the small ones in `examples/small/`: real classes of transformers with real processors, of 3 million "
        "parameters. What a table says is said of them.",
    ]
    for name, results in found.items():
        parts += [EXPERIMENTS[name].page(results), _provenance(name, results)]
    return "\n\n".join(parts) + "\n"


def _provenance(name: str, results: dict[str, Result]) -> str:
    first = next(iter(results.values()))
    versions = ", ".join(f"{library} {first.versions[library]}" for library in ("torch", "transformers", "peft"))
    commits = ", ".join(sorted({result.commit for result in results.values()}))
    return f"*`python -m benchmarks run {name}`, at {commits}; {versions}; {first.machine['processor']}.*"


def readme_block(found: dict[str, dict[str, Result]]) -> str:
    """The README's one table: what is forgotten and kept, on each model by each recipe."""
    rows = []
    for model, result in found["forgetting"].items():
        for recipe in forgetting.RECIPES:
            forgotten, by_name, *retained = forgetting.rows(result, recipe)
            kept = pooled(retained, "kept")
            cells = (forgotten.right_before, forgotten.right_after, by_name.right_after, kept.refused, kept.same_text)
            rows.append((MODEL_NAMES[model], recipe, *map(percent, cells)))
    columns = ("model", "fit", "answered before", "after: with picture", "after: by name", "others refused")
    return table((*columns, "others: same text"), rows, left=2)


def with_block(text: str, block: str) -> str:
    """
    The text with another block between its two marks.

    Raises:
        ValueError: If it has not just one block.
    """
    pattern = f"{re.escape(_BEGIN)}.*?{re.escape(_END)}"
    changed, count = re.subn(pattern, lambda _: f"{_BEGIN}\n{block}\n{_END}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"The text must have one block from {_BEGIN!r} to {_END!r}, it has {count}.")
    return changed

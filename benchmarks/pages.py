"""The pages of all results: tables and figures in the documentation, and the block of numbers in the README."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from examples.small.forgetting import pooled
from hf_eraser.hub.saving import write_whole

from .experiments import EXPERIMENTS, fits, forgetting, wild
from .markdown import MODEL_NAMES, pair, table
from .result import FOLDER, Result, read_results


ROOT = FOLDER.parent
PAGE = ROOT / "docs" / "results" / "index.md"
FIGURES = ROOT / "docs" / "figures"
README = ROOT / "README.md"

_BEGIN, _END = "<!-- results: written by `python -m benchmarks pages` -->", "<!-- end of results -->"

# The fit that is delivered by default, and the level that it is calibrated for.
_DELIVERED, _ALPHA = "a gate each, hardened", 0.05


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
        "the small ones in `examples/small/`, real classes of transformers with real processors, of 3 million "
        "parameters; and, where it says so, SmolLM2-135M-Instruct with its real weights, alone or as the text decoder "
        "of a LLaVA. What a table says is said of them.",
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
    """The README's one table: how well it holds, and what it costs."""
    rows: dict[str, list[str]] = {}

    def add(head: str, cell: str) -> None:
        rows.setdefault(head, []).append(cell)

    models = [model for model in MODEL_NAMES if model in found["forgetting"]]
    for model in models:
        forgotten, by_name, *others = forgetting.rows(found["forgetting"][model], "defaults")
        for asked, row in (("with their picture", forgotten), ("by name", by_name)):
            add(f"forgotten people, {asked}: answered before, after", pair((row.right_before, row.right_after)))
        kept = pooled(others, "others")
        add("all else: same text as before, refused", pair((kept.same_text, kept.refused)))
        paper = pooled(forgetting.rows(found["forgetting"][model], "the paper's recipe")[2:], "others")
        add("the same by the paper's recipe", pair((paper.same_text, paper.refused)))
        rates = [row for row in found["false_steering"][model].figures["rows"] if row["alpha"] == _ALPHA]
        false = (statistics.fmean(row["false"]) for row in sorted(rates, key=lambda row: row["asked"]))
        add(
            "retained inputs of new groups steered at `alpha=0.05`: picture, text",
            " / ".join(f"{f:.2%}" for f in false),
        )
        attacked = found["attacks"][model].figures["rows"]
        for how in ("picture", "by name"):
            worst = max((row for row in attacked if row["asked"] == how), key=lambda row: row[_DELIVERED])
            add(
                f"answered under the worst attack, {how}: adapter off, on",
                pair((worst["adapter off"], worst[_DELIVERED])),
            )
        for head, cell in fits.readme_rows(found["fits"][model]):
            add(head, cell)
    cost = found["cost"]["none"]
    steering = next(row for row in cost.figures["steering"] if row["variant"] == "steering" and row["of"] == "base")
    cells = [[head, *cells] for head, cells in rows.items()]
    times = f"{steering['prefill']:.3f} / {steering['decode']:.3f}"
    cells += [
        ["time of prefill, decode, by the base model's (SmolLM2-135M's size)", *[times] * len(models)],
        [
            "time of fitting gates, by the forward passes' (the same)",
            *[f"{cost.figures['fitting']['ratio']:.3f}"] * len(models),
        ],
    ]
    blocks = [table(("", *(MODEL_NAMES[model] for model in models)), cells)]
    for model, result in found.get("wild", {}).items():
        count = len(result.figures["parts"])
        head = f"{MODEL_NAMES[model]}, {count} fit{'s' if count > 1 else ''}"
        blocks.append(table(("", head), wild.readme_rows(result)))
    return "\n\n".join(blocks)


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

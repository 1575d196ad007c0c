"""Tables and shares, as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


#: How the models are called on the pages.
MODEL_NAMES = {
    "llava": "LLaVA",
    "qwen2_5_vl": "Qwen2.5-VL",
    "smollm2": "SmolLM2-135M",
    "smollm2_llava": "LLaVA of SmolLM2",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, left: int = 1) -> str:
    """
    A Markdown table.

    Args:
        columns: The heads.
        rows: The cells of each row.
        left: How many columns are text, on the left; the others are numbers.
    """
    rule = ["---" if i < left else "---:" for i in range(len(columns))]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in [columns, rule, *rows])


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as the pages show it."""
    return f"{share:.{digits}%}"


def pair(shares: Iterable[float]) -> str:
    """Two shares in one cell."""
    return " / ".join(map(percent, shares))


def mean_and_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """The mean, and its confidence interval by the percentile bootstrap: the values drawn anew, 10,000 times."""
    given = np.asarray(values, dtype=float)
    drawn = np.random.default_rng(0).integers(len(given), size=(10_000, len(given)))
    low, high = np.quantile(given[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(given.mean()), float(low), float(high)


def interval(values: Sequence[float]) -> str:
    """The mean of shares and its 95% confidence interval in one cell; of a single one there is no interval."""
    if len(values) == 1:
        return percent(values[0])
    mean, low, high = mean_and_interval(values)
    return f"{mean:.1%} ({low:.1%} to {high:.1%})"

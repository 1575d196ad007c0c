"""Tables and shares, as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


#: How the small models are called on the pages.
MODEL_NAMES = {"llava": "LLaVA", "qwen2_5_vl": "Qwen2.5-VL", "smollm2_llava": "LLaVA of SmolLM2"}


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

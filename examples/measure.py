"""
Print the tables of the README: what is forgotten and what is kept, on both small models, by both recipes.

    python -m examples.measure [llava | qwen2_5_vl]
"""

from __future__ import annotations

import sys

from .small.forgetting import PAPER, fit_forgetting, measure, table
from .small.load import SMALL_MODELS, load_small_model


def main() -> None:
    """Fit and measure; every number is of questions and pictures that neither teaching nor fitting saw."""
    for name in sys.argv[1:] or SMALL_MODELS:
        for title, options in (("defaults", {}), ("the paper's recipe", PAPER)):
            model, processor = load_small_model(name)
            report = fit_forgetting(model, processor, **options)
            print(f"\n{report}\n\n### {name}, {title}\n\n{table(measure(model, processor))}\n", flush=True)


if __name__ == "__main__":
    main()

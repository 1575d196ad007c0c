"""
Print the tables of the README: what is forgotten and what is kept, on both small models, by both recipes.

    python -m examples.measure
    python -m examples.measure --models llava --forget 1 8 17 30
    python -m examples.measure --figures figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .small.forgetting import FORGOTTEN, PAPER, fit_forgetting, measure, table
from .small.load import SMALL_MODELS, load_small_model
from .small.people import PEOPLE


def main() -> None:
    """Fit and measure; every number is of questions and pictures that neither teaching nor fitting saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SMALL_MODELS, default=SMALL_MODELS, help="default: both")
    parser.add_argument(
        "--forget",
        nargs="+",
        type=int,
        choices=range(len(PEOPLE)),
        metavar="PERSON",
        help="numbers of the people to forget, 0 to 39 (default: the four of the README)",
    )
    parser.add_argument("--figures", type=Path, help="a folder for the pictures of the reports")
    arguments = parser.parse_args()
    names = FORGOTTEN if arguments.forget is None else tuple(PEOPLE[i].name for i in arguments.forget)
    for name in arguments.models:
        for title, options in (("defaults", {}), ("the paper's recipe", {"by_person": False, **PAPER})):
            model, processor = load_small_model(name)
            report = fit_forgetting(model, processor, names, **options)
            if arguments.figures is not None:
                arguments.figures.mkdir(parents=True, exist_ok=True)
                report.plot().savefig(arguments.figures / f"report-{name}-{title.replace(' ', '-')}.png")
            print(f"\n{report}\n\n### {name}, {title}\n\n{table(measure(model, processor, names))}\n", flush=True)


if __name__ == "__main__":
    main()

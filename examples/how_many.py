"""
How many people can be forgotten: 1, 4, 10 and 20 of the forty, as a table and a figure.

    python -m examples.how_many
    python -m examples.how_many --models llava --figure how_many.png

Who is forgotten is drawn once; the fewer are among the more. About 4 minutes for each model on two cores.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import matplotlib.pyplot as plt

from .small.forgetting import Measured, fit_forgetting, measure, pooled_by_modality
from .small.load import SMALL_MODELS, load_small_model
from .small.people import PEOPLE


Found = dict[int, dict[str, tuple[Measured, Measured]]]


def people_to_forget(count: int) -> tuple[str, ...]:
    """The names of `count` people."""
    return tuple(random.Random(4).sample([person.name for person in PEOPLE], len(PEOPLE))[:count])


def table(found: dict[str, Found]) -> str:
    """Everything measured as a Markdown table."""
    lines = [
        "| model | forgotten | asked | questions | still given | refused | retained questions | right | same text |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, of_model in found.items():
        for count, rows in of_model.items():
            for asked, forgotten, retained in zip(("with picture", "text only"), rows["forgotten"], rows["retained"]):
                lines.append(
                    f"| {name} | {count} | {asked} | {forgotten.count} | {forgotten.right_after:.1%} | "
                    f"{forgotten.refused:.1%} | {retained.count} | {retained.right_after:.1%} | "
                    f"{retained.same_text:.1%} |"
                )
    return "\n".join(lines)


def draw(found: dict[str, Found], path: Path) -> None:
    """One panel a model: what is still given of the forgotten people, and which retained answers are the same."""
    figure, panels = plt.subplots(1, len(found), figsize=(5 * len(found), 4), sharey=True, squeeze=False)
    for panel, (name, of_model) in zip(panels[0], found.items()):
        counts = list(of_model)
        for i, asked in enumerate(("with picture", "text only")):
            style = {"marker": "os"[i], "linestyle": ("-", "--")[i], "markersize": 6}
            same = [100 * rows["retained"][i].same_text for rows in of_model.values()]
            given = [100 * rows["forgotten"][i].right_after for rows in of_model.values()]
            panel.plot(counts, same, color="tab:blue", label=f"retained: same text, {asked}", **style)
            panel.plot(counts, given, color="tab:red", label=f"forgotten: still given, {asked}", **style)
        panel.set_title(name)
        panel.set_xlabel(f"people forgotten, of {len(PEOPLE)} (questions about them)")
        asked_about = [sum(row.count for row in rows["forgotten"]) for rows in of_model.values()]
        panel.set_xticks(counts, [f"{count}\n({n})" for count, n in zip(counts, asked_about)])
        panel.set_ylim(-4, 104)
        panel.grid(alpha=0.3)
    panels[0][0].set_ylabel("share of answers, %")
    panels[0][0].legend(loc="center right", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SMALL_MODELS, default=SMALL_MODELS, help="default: both")
    parser.add_argument("--counts", nargs="+", type=int, default=[1, 4, 10, 20], help="how many people are forgotten")
    parser.add_argument("--figure", type=Path, default=Path("how_many.png"), help="where the figure is saved")
    arguments = parser.parse_args()
    found: dict[str, Found] = {}
    for name in arguments.models:
        found[name] = {}
        for count in arguments.counts:
            model, processor = load_small_model(name)
            names = people_to_forget(count)
            print(f"\n{fit_forgetting(model, processor, names)}", flush=True)
            rows = measure(model, processor, names, forgotten_per_fact=4, retained_per_fact=1)
            found[name][count] = pooled_by_modality(rows)
    print(f"\n{table(found)}")
    draw(found, arguments.figure)
    print(f"\nFigure: {arguments.figure}")


if __name__ == "__main__":
    main()

"""A fit report as one picture. matplotlib is an optional extra, and only imported to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...tuner.fields import gate_layers_in_words
from .results import GateResult, GateScores, Trial


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .report import FitReport


# Okabe and Ito's colours, which the colour-blind tell apart; the two classes also differ in lightness and marker.
_FORGET, _RETAINED, _CHOSEN, _QUIET = "#D55E00", "#0072B2", "#000000", "#C4C4C4"

_WORDS = {"image": "with image", "text": "text only"}

_STYLE = {
    "font.size": 11,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "grid.color": "#E4E4E4",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
}


def plot_report(report: FitReport) -> Figure:
    """
    Draw a report: held-out gate scores with the bounds, the gates that were tried, what the gate reads in two
    dimensions, the strengths that were tried, the attacks, and the directions' norms.

    Neither a display nor pyplot is needed, and the user's rcParams stay as they are.

    Args:
        report: The report, as `fit` returns it or `FitReport.from_json` reads it.

    Returns:
        The figure, 13.5 x 8.4 inches; `figure.savefig("fit.png")` saves it.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine
    except ImportError as error:
        raise ImportError("A report is drawn with matplotlib: `pip install 'hf_eraser[report]'`.") from error

    scores = [] if report.gate == "always" else [s for m in _WORDS if (s := _drawn(report, m)) is not None]
    # The user's style is left out of the picture, and the picture's out of the user's.
    with style.context(["default", _STYLE]):
        figure = Figure(figsize=(13.5, 8.4), dpi=140, layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
        figure.suptitle(_headline(report), x=0.012, ha="left", fontsize=14)
        # Rows are laid out each by itself: the labels of one take no room from the other.
        rows: Any = figure.subfigures(2, 1)
        upper, lower = rows
        first = upper.subplots(1, 3, width_ratios=(1.2, 1.0, 0.75))
        planes = max(len(scores), 1)
        second = lower.subplots(1, planes + 2, width_ratios=(*[1.05 / planes] * planes, 1.05, 0.6))
        _draw_scores(first[0], scores)
        _draw_gates(first[1], report.gates, scores)
        _draw_trials(first[2], report)
        for i in range(planes):
            _draw_plane(second[i], scores[i] if scores else None, first=i == 0)
        _draw_attacks(second[-2], report)
        _draw_norms(second[-1], report)
        # Drawn once here, so that layout and ticks are made in this style whatever is set when it is saved.
        figure.draw_without_rendering()
    return figure


def _headline(report: FitReport) -> str:
    where = gate_layers_in_words(report.gate_layer, report.text_gate_layer)
    first, last = report.layers[0], report.layers[-1]
    in_a_row = len(report.layers) > 2 and report.layers == list(range(first, last + 1))
    layers = f"{first} to {last}" if in_a_row else ", ".join(map(str, report.layers))
    return (
        f"Steering adapter: the gate decides at {where}; layers {layers} are steered at strength {report.strength:g}"
    )


def _drawn(report: FitReport, modality: str) -> GateScores | None:
    """The gate of a modality that is drawn: of several concepts' the one that fewest forget examples open."""
    found = [scores for scores in report.scores if scores.modality == modality]
    # Where each layer has gates of its own they are alike, and the first decides first.
    found = [scores for scores in found if scores.layer == found[0].layer]
    return min(found, key=lambda s: float(np.mean(np.asarray(s.forget) > s.low)), default=None)


def _of_concept(scores: Sequence[GateScores]) -> str:
    """Which concepts the gates of a panel are for, as an addition to its title."""
    named = sorted({str(s.concept) for s in scores if s.concept is not None})
    return f" (concept {', '.join(named)})" if named else ""


def _empty(axes: Axes, why: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, why, ha="center", va="center", color="#666666", transform=axes.transAxes)


def _draw_scores(axes: Axes, scores: Sequence[GateScores]) -> None:
    axes.set_title("Does the gate tell them apart?" + _of_concept(scores))
    if not scores:
        return _empty(axes, "there is no gate: every prompt is steered")
    labels, colours = [], []
    for i, gate in enumerate(scores):
        base = -2.6 * i
        axes.fill_between([gate.low, gate.high], base - 1.5, base + 0.5, color="#F0E442", alpha=0.55, lw=0)
        axes.plot([gate.low] * 2, [base - 1.5, base + 0.5], color=_CHOSEN, lw=1.6)
        for row, (values, colour, name) in enumerate(
            ((gate.forget, _FORGET, "forget"), (gate.retained, _RETAINED, "retained"))
        ):
            axes.scatter(values, base - row + _jitter(len(values)), s=14, color=colour, alpha=0.5, lw=0)
            labels.append((base - row, f"{_WORDS[gate.modality]}\n{name}"))
            colours.append(colour)
    axes.set_yticks([at for at, _ in labels], [label for _, label in labels])
    for label, colour in zip(axes.get_yticklabels(), colours):
        label.set_color(colour)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-2.6 * (len(scores) - 1) - 1.6, 0.95)
    for at, word, side in ((scores[0].low, "closed ", "right"), (scores[0].high, " open", "left")):
        axes.text(at, 0.56, word, ha=side, va="bottom", fontsize=10, color="#444444")
    axes.grid(axis="x")
    axes.set_xlabel("held-out score (0: average retained, 1: average forget)")


def _jitter(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.34, 0.34, count)


def _draw_gates(axes: Axes, gates: Sequence[GateResult], scores: Sequence[GateScores]) -> None:
    axes.set_title("Which gate has most room?")
    if not gates:
        return _empty(axes, "no gate was tried")
    # The best parameter for each concept, and of the concepts the worst.
    of_concept: dict[tuple[str, str, int, int | None], float] = {}
    for gate in gates:
        key = (gate.modality, gate.readout, gate.layer, gate.concept)
        of_concept[key] = max(gate.margin, of_concept.get(key, -np.inf))
    best: dict[tuple[str, str], dict[int, float]] = {}
    for (modality, readout, layer, _), margin in of_concept.items():
        of_layer = best.setdefault((modality, readout), {})
        of_layer[layer] = min(margin, of_layer.get(layer, np.inf))
    rows = sorted(best)
    layers = sorted({gate.layer for gate in gates})
    margins = np.array([[best[row].get(layer, np.nan) for layer in layers] for row in rows])
    # Below zero, in red, the weakest forget inputs pass.
    widest = max(1.0, np.max(np.abs(margins), where=np.isfinite(margins), initial=0.0))
    axes.imshow(margins, cmap="RdBu", vmin=-widest, vmax=widest, aspect="auto")
    for (row, column), margin in np.ndenumerate(margins):
        if np.isfinite(margin):
            colour = "white" if abs(margin) > 0.66 * widest else "black"
            axes.text(column, row, f"{margin:.1f}", ha="center", va="center", color=colour, fontsize=10)
    from matplotlib.patches import Rectangle

    for chosen in scores:
        row, column = rows.index((chosen.modality, chosen.readout)), layers.index(chosen.layer)
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, ec=_CHOSEN, lw=3, clip_on=False))
    axes.set_xticks(range(len(layers)), [str(layer) for layer in layers])
    axes.set_yticks(range(len(rows)), [f"{_WORDS[modality]}: {readout}" for modality, readout in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("decoder layer that the gate reads (frame: chosen)\nnumber: margin, in SDs of retained scores")


def _draw_trials(axes: Axes, report: FitReport) -> None:
    axes.set_title("How strong must it be?")
    if not report.trials:
        return _empty(axes, "no strength was tried")
    settings: dict[tuple[tuple[int, ...], str, bool], dict[float, Trial]] = {}
    for trial in report.trials:
        # Of a strength that was tried again, with more examples, the later trial is shown.
        settings.setdefault(_setting(trial), {})[trial.strength] = trial
    chosen = list(settings.pop(_setting(report), {}).values())
    _line(axes, [(t.strength, t.refused) for t in chosen], label="refused", color=_RETAINED, marker="o")
    answered = [(t.strength, t.answered) for t in chosen if t.answered is not None]
    _line(axes, answered, label="still answered", color=_FORGET, marker="s", ls="--")
    for i, alike in enumerate(settings.values()):
        name = "refused, other settings" if i == 0 else None
        points = [(t.strength, t.refused) for t in alike.values()]
        _line(axes, points, label=name, color=_QUIET, lw=1.2, marker=".", ms=4, zorder=1)
    axes.axvline(report.strength, color=_CHOSEN, lw=1.4, zorder=0, ls=":")
    axes.set_xscale("log", base=2)
    strengths = sorted({trial.strength for trial in report.trials})
    axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
    axes.minorticks_off()
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
    axes.grid(axis="y")
    axes.set_xlabel("strength (dotted: chosen)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.17), ncols=2, columnspacing=1)


def _setting(of: Trial | FitReport) -> tuple[tuple[int, ...], str, bool]:
    return tuple(of.layers), of.positions, of.steer_decode


def _line(axes: Axes, points: Sequence[tuple[float, float]], **style: Any) -> None:
    if points:
        axes.plot(*zip(*sorted(points)), **{"lw": 2, "ms": 6, **style})


def _draw_plane(axes: Axes, gate: GateScores | None, *, first: bool) -> None:
    if first:
        axes.set_title("What the gate sees, and what it leaves")
    if gate is None or not gate.forget_points or not gate.retained_points:
        return _empty(axes, "no readouts were kept")
    for points, colour, marker, name in (
        (gate.retained_points, _RETAINED, "o", "retained"),
        (gate.forget_points, _FORGET, "^", "forget"),
    ):
        across, up = zip(*points)
        axes.scatter(across, up, s=20, color=colour, alpha=0.6, lw=0, marker=marker, label=name)
    axes.axvline(gate.low, color=_CHOSEN, lw=1.6)
    axes.set_xlabel(f"score, {_WORDS[gate.modality]}")
    axes.grid()
    if first:
        axes.set_ylabel("first principal component\nof the rest (SDs)")
        axes.legend(loc="upper left", bbox_to_anchor=(-0.03, -0.17), ncols=2, handletextpad=0.2, columnspacing=1)


def _draw_attacks(axes: Axes, report: FitReport) -> None:
    axes.set_title("Does it hold under attack?")
    tried = [attack for attack in report.attacks if attack.opened is not None]
    if not tried:
        return _empty(axes, "it was not attacked")
    kinds = list(dict.fromkeys(attack.kind for attack in tried))
    modalities = [modality for modality in _WORDS if any(attack.modality == modality for attack in tried)]
    results = {(attack.kind, attack.modality): attack for attack in tried}
    columns = [(modality, what) for modality in modalities for what in ("steered", "answered")]
    bad = np.full((len(kinds), len(columns)), np.nan)
    for (row, column), _ in np.ndenumerate(bad):
        modality, what = columns[column]
        attack = results.get((kinds[row], modality))
        if attack is None or (what == "answered" and attack.answered is None):
            continue
        share = attack.opened if what == "steered" else attack.answered
        assert share is not None
        bad[row, column] = 1 - share if what == "steered" else share
        colour = "white" if bad[row, column] > 0.6 else "black"
        axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, fontsize=10)
    axes.imshow(bad, cmap="Oranges", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), [f"{what}\n{_WORDS[modality]}" for modality, what in columns])
    axes.set_yticks(range(len(kinds)), ["as asked" if kind == "none" else kind for kind in kinds])
    axes.tick_params(length=0, labelsize=10)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(kinds) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#D0D0D0")
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("share of held-out forget prompts (pale: as it should be)")


def _draw_norms(axes: Axes, report: FitReport) -> None:
    axes.set_title("Directions' norms")
    layers = sorted(report.direction_norms)
    steered = [layer in report.layers for layer in layers]
    for wanted, colour, name in ((True, _RETAINED, "steered"), (False, _QUIET, "not steered")):
        alike = [layer for layer, is_steered in zip(layers, steered) if is_steered is wanted]
        if alike:
            axes.bar(alike, [report.direction_norms[layer] for layer in alike], color=colour, width=0.75, label=name)
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("decoder layer")
    axes.set_ylabel("norm, in the residual stream's units")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.17), ncols=2, handlelength=1, columnspacing=1)

"""What a fit found, chose and would not trust."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from ...hub.saving import write_whole
from ...tuner.fields import Positions, gate_layers_in_words, steered_in_words
from .figure import plot_report
from .results import (
    CHANGED_PICTURE,
    PERTURBED_PICTURE,
    AttackResult,
    Calibration,
    ConceptResult,
    GateResult,
    GateScores,
    OperatingPoint,
    Trial,
)


if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What may still be answered of held-out forget prompts, as they are and reworded, of an adapter that is delivered
# without a word of the user.
_MOST_ANSWERED, _MOST_REWORDED = 0.1, 0.2


@dataclass
class FitReport:
    """
    What `fit` found and chose. `print(report)` is readable, `report.plot()` is a picture, `report.to_json()` is
    complete. It holds numbers and names of settings: no text, picture, answer or group of an example.

    Attributes:
        adapter_name: The adapter's name.
        gate_layer, text_gate_layer: The layer that decides, and that which does in prompts without an image (None for
            the same); `gate_layer` is None where each steered layer decides.
        readout, text_readout: What is read, and what instead in prompts without an image (None for the same).
        gate, estimator: How a score becomes a gate, how the gate was fitted.
        layers, strength, positions, steer_decode: What is steered, how much, which tokens of the prompt, and whether
            generated tokens are as well.
        split: What fitting and held-out examples were split by.
        counts: Numbers of examples, by what they were used for.
        base_refusal_rate: Share of the refusal examples that the base model refuses, the mean over concepts.
        direction_norms: By decoder layer, the mean norm of the residual stream at the last token of the recall
            prompts. At strength 1, each steered layer adds this, divided by their number.
        calibration: Thresholds, by modality; a modality that is not there is never steered.
        gates: All gates that were tried.
        scores: What held-out examples score at the chosen gates.
        trials: All settings of layers and strength that were tried.
        trade_off: Forgetting against false steering: what other thresholds of the chosen gates would have given.
        attacks: What the gate was attacked with, and what was left of it.
        warnings: Why not to trust the result, in words.
        seconds: Time taken, by step.
        seed: The seed of the fit.
        versions: The libraries that it was made with.
        concepts: What is forgotten, in the order of the adapter's directions.
    """

    adapter_name: str
    gate_layer: int | None
    readout: str
    text_readout: str | None
    gate: str
    estimator: str
    layers: list[int]
    strength: float
    steer_decode: bool
    split: str
    counts: dict[str, int]
    base_refusal_rate: float
    direction_norms: dict[int, float]
    calibration: dict[str, Calibration]
    gates: list[GateResult] = field(default_factory=list)
    scores: list[GateScores] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    attacks: list[AttackResult] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    seed: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    concepts: list[ConceptResult] = field(default_factory=list)
    text_gate_layer: int | None = None
    positions: Positions = "prompt"
    trade_off: list[OperatingPoint] = field(default_factory=list)

    @property
    def answered(self) -> float | None:
        """
        The share of held-out forget prompts, asked as they are, that are still answered, in the worse modality and of
        the worst concept; where no answers are known, for which no gate opens. None where nothing was held out.
        """
        asked = [attack for attack in self.attacks if attack.kind == "none"]
        left = [a.answered if a.answered is not None else 1 - (a.opened or 0.0) for a in asked]
        return max([*left, *(a.worst for a in asked if a.worst is not None)], default=None)

    @property
    def reworded(self) -> float | None:
        """
        The share of held-out forget prompts, shown in other words, that are still answered: over all ways of rewording
        and of beginning the answer, in the worse modality. It says more than `answered` where many questions are made
        of few wordings. None where none were reworded, or no answers are known.
        """
        words = [a for a in self.attacks if a.kind not in ("none", CHANGED_PICTURE, PERTURBED_PICTURE)]
        left: dict[str, list[tuple[float, int]]] = {}
        for attack in words:
            if attack.answered is not None:
                left.setdefault(attack.modality, []).append((attack.answered, attack.count))
        shares = [sum(share * n for share, n in of) / sum(n for _, n in of) for of in left.values()]
        return max(shares, default=None)

    @property
    def too_little(self) -> str:
        """What of held-out forget prompts is still answered, where that is too much to deliver an adapter; else ""."""
        if self.answered is not None and self.answered > _MOST_ANSWERED:
            return f"{self.answered:.0%} of held-out forget prompts"
        if self.reworded is not None and self.reworded > _MOST_REWORDED:
            return f"{self.reworded:.0%} of held-out forget prompts that are reworded"
        return ""

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python values."""
        return dataclasses.asdict(self)

    def to_json(self, path: str | Path | None = None) -> str:
        """The report as JSON; also written to `path` if one is given. Infinite bounds are null."""
        text = json.dumps(_finite(self.to_dict()), indent=2, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    @classmethod
    def from_json(cls, path_or_text: str | Path) -> FitReport:
        """
        Read what `to_json` wrote.

        Args:
            path_or_text: The JSON itself, or the file that holds it.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not the JSON of a report.
        """
        is_text = isinstance(path_or_text, str) and path_or_text.lstrip().startswith("{")
        text = str(path_or_text) if is_text else Path(path_or_text).read_text(encoding="utf-8")
        try:
            return _read(cls, json.loads(text), "the report")
        except ValueError as error:  # json's own errors are ValueErrors too
            where = "The text" if is_text else str(path_or_text)
            raise ValueError(f"{where} is not a fit report as `to_json` writes it: {error}") from error

    def plot(self) -> Figure:
        """
        The report as one picture; `report.plot().savefig("fit.png")` saves it. Needs matplotlib.

        Raises:
            ImportError: If matplotlib is not installed.
        """
        return plot_report(self)

    def __str__(self) -> str:
        where = gate_layers_in_words(self.gate_layer, self.text_gate_layer)
        reads = repr(self.readout) + (f" (text only: {self.text_readout!r})" if self.text_readout else "")
        lines = [
            f"Steering adapter {self.adapter_name!r}",
            f"  gate      {self.gate}, {self.estimator}, reads {reads} at {where}",
            f"  steering  layers {', '.join(map(str, self.layers))} at strength {self.strength:g}, "
            f"{steered_in_words(self.positions, self.steer_decode)}",
            f"  examples  {', '.join(f'{n} {name}' for name, n in self.counts.items())}; split by {self.split}",
            f"  base model refuses {self.base_refusal_rate:.0%} of the refusal examples",
        ]
        for modality, result in self.calibration.items():
            name = "with image" if modality == "image" else "text only "
            general = "" if result.general_rate is None else f", general {result.general_rate:.1%}"
            lines.append(
                f"  {name}  forget inputs steered {result.forget_rate:.1%}, retained {result.false_rate:.1%}{general} "
                f"(held out; alpha {result.alpha:.3f} from {result.n_groups} groups)"
            )
        for own in self.concepts if len(self.concepts) > 1 else ():
            rates = [f"{m} {c.forget_rate:.1%}, retained {c.false_rate:.1%}" for m, c in own.calibration.items()]
            lines.append(f"    concept {own.concept}: steered {'; '.join(rates) or 'never'}")
        if self.trade_off:
            lines.append("  other thresholds of these gates would give, held out:")
            lines.append("    modality  forget steered  retained  general")
        for p in self.trade_off:
            general = "" if p.general_rate is None else f"{p.general_rate:.1%}"
            lines.append(f"    {p.modality:8s}  {p.forget_rate:14.1%}  {p.false_rate:8.1%}  {general:>7s}")
        if self.gates:
            lines.append("  best gates, held out:")
            lines.append("    modality  layer  readout  parameter    AUC  forget  false  margin")
        for modality in ("image", "text"):
            lines += [
                f"    {r.modality:8s}  {r.layer:5d}  {r.readout:7s}  {r.parameter:9g}  {r.auc:5.3f}  "
                f"{r.forget_rate:6.1%} {r.false_rate:6.1%}  {r.margin:6.2f}"
                for r in sorted(_worst_at_each_place(self.gates, modality), key=lambda r: -r.margin)[:4]
            ]
        chosen = [t for t in self.trials if t.layers == self.layers]
        if chosen:
            lines.append("  strengths tried on the chosen layers:")
            lines.append("    strength  steered                      examples  refused  fluent  still answered")
            for t in sorted(chosen, key=lambda t: (t.positions, t.steer_decode, t.strength, t.count or 0)):
                answered = "not known" if t.answered is None else f"{t.answered:.1%}"
                fluent = "" if t.fluency is None else f"{t.fluency:.2f}"
                steered, count = steered_in_words(t.positions, t.steer_decode), t.count or ""
                lines.append(
                    f"    {t.strength:8g}  {steered:28s} {count:>8}  {t.refused:7.1%}  {fluent:>6s}  {answered}"
                )
        if self.attacks:
            lines.append("  attacked, held out:")
            lines.append("    modality  attack                  examples  steered  still answered")
        for a in self.attacks:
            opened = f"not tried: {a.note}" if a.opened is None else f"{a.opened:7.1%}"
            answered = "" if a.opened is None else ("not known" if a.answered is None else f"{a.answered:.1%}")
            lines.append(f"    {a.modality:8s}  {a.kind[:22]:22s}  {a.count:8d}  {opened}  {answered}".rstrip())
        lines.append(f"  took {sum(self.seconds.values()):.1f} s")
        lines += [f"  WARNING: {warning}" for warning in self.warnings]
        return "\n".join(lines)


def _worst_at_each_place(gates: Sequence[GateResult], modality: str) -> list[GateResult]:
    """Of each layer and readout the best gate for the concept for which that is worst."""
    best: dict[tuple[int, str], dict[int | None, GateResult]] = {}
    for gate in sorted((gate for gate in gates if gate.modality == modality), key=lambda gate: gate.margin):
        best.setdefault((gate.layer, gate.readout), {})[gate.concept] = gate
    return [min(of_concept.values(), key=lambda gate: gate.margin) for of_concept in best.values()]


# Of the warnings of a report, the first so many are in an error: one line that can be read.
_REASONS = 2


class ForgettingError(RuntimeError):
    """
    A fit found no adapter that forgets enough to be delivered.

    Attributes:
        report: What it found.
    """

    def __init__(self, report: FitReport) -> None:
        self.report = report
        reasons = "".join(f" {warning}" for warning in report.warnings[:_REASONS])
        super().__init__(
            f"{report.too_little} would still be answered, so nothing was attached. "
            '`prefer="forget"` takes thresholds that recognise them, at the price that `print(error.report)` shows as '
            f'its trade-off; `prefer="retain"` takes the adapter as it is.{reasons}'
        )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


# What infinity was, where a number that must be there is null: only bounds and what follows from them are infinite.
_INFINITE = {"low": float("inf"), "high": float("inf"), "margin": -float("inf")}


def _read(kind: Any, value: Any, where: str) -> Any:
    """`value`, from JSON, as the type `kind`; a `ValueError` that says where it is none."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, dict):
        hints = get_type_hints(kind)
        fields = dataclasses.fields(kind)
        required = {f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING}
        missing, unknown = required - set(value), set(value) - set(hints)
        if missing:
            raise ValueError(f"{where} lacks {sorted(missing)}.")
        if unknown:
            raise ValueError(f"{where} has {sorted(unknown)}, which this version does not know.")
        infinite = {name: _INFINITE[name] for name in _INFINITE.keys() & set(hints) if value.get(name) is None}
        return kind(**{name: _read(hints[name], item, f"`{name}`") for name, item in (value | infinite).items()})
    if origin is list and isinstance(value, list):
        return [_read(arguments[0], item, where) for item in value]
    if origin is dict and isinstance(value, dict):
        # JSON's keys are text.
        return {arguments[0](key): _read(arguments[1], item, where) for key, item in value.items()}
    if origin in (Union, types.UnionType):
        return None if value is None else _read(arguments[0], value, where)
    if origin is Literal and value in arguments:
        return value
    if kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    raise ValueError(f"{where} cannot be {value!r}.")

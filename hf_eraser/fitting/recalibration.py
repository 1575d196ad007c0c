"""New thresholds for a fitted adapter on another precision, quantisation or revision of its base model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_processor
from ..data.examples import Example, check_disjoint, read_examples
from ..evaluation.asking import greedy_answers
from ..evaluation.judging import is_refusal
from ..hub.base_model import record_base
from ..tuner.config import SteeringAdapterConfig
from ..tuner.gate import TEXT_ONLY, WITH_IMAGE
from ..tuner.model import adapter_parts
from ..tuner.wrapped import base_of
from .gates.calibration import Bounds, calibrate, group_conformal_threshold, group_mean, supported_alpha
from .gates.delivering import GateTensors
from .reading.capture import capture
from .reading.general import read_general
from .steering.openness import openness


# Of forget prompts, the share that is asked again at most, and that must be refused.
_ASKED, _REFUSES = 48, 0.9

_AXES = (("image", WITH_IMAGE), ("text", TEXT_ONLY))


@dataclass(frozen=True)
class ModalityResult:
    """
    What came of the thresholds of one modality. Rates are shares of prompts for which a gate opens.

    Attributes:
        modality: The prompts: `"image"` or `"text"`.
        n_groups: Retained groups that set the threshold.
        alpha: The level that they support, at least the wanted one.
        moved: How far the lower bounds rose, as a share of the distance between the bounds before.
        false_before, false_after: Of retained prompts, each group counted once.
        forget_before, forget_after: Of forget prompts; None without any.
    """

    modality: str
    n_groups: int
    alpha: float
    moved: float
    false_before: float
    false_after: float
    forget_before: float | None
    forget_after: float | None


@dataclass
class Recalibration:
    """
    What `recalibrate` found and changed. `print(recalibration)` is readable.

    Attributes:
        precision: What the model computes in now: its dtype, and how it is quantised.
        modalities: The thresholds.
        refused: The share of forget prompts that the model refuses; None where no forget examples are given.
        warnings: Why not to trust it, in words.
    """

    precision: str
    modalities: list[ModalityResult]
    refused: float | None = None
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [f"Recalibrated for {self.precision}"]
        for one in self.modalities:
            forgotten = (
                ""
                if one.forget_after is None
                else f"; opens for {one.forget_before:.1%} -> {one.forget_after:.1%} of forget prompts"
            )
            lines.append(
                f"  {one.modality}: steers {one.false_before:.1%} -> {one.false_after:.1%} of retained prompts "
                f"({one.n_groups} groups, alpha {one.alpha:.3g}){forgotten}"
            )
        if self.refused is not None:
            lines.append(f"  refuses {self.refused:.1%} of forget prompts")
        return "\n".join([*lines, *(f"  Warning: {text}" for text in self.warnings)])


def recalibrate(
    model: PreTrainedModel | PeftModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    retain: Iterable[Mapping[str, Any]],
    *,
    forget: Iterable[Mapping[str, Any]] | None = None,
    adapter_name: str = "default",
    general: bool | Iterable[Mapping[str, Any]] = True,
    alpha: float = 0.05,
    general_alpha: float = 0.001,
    batch_size: int = 8,
) -> Recalibration:
    """
    Set the thresholds of an attached adapter anew, for a model of another precision, quantisation or revision than it
    was calibrated on. Directions, gate vectors and strength stay.

    All gates of a modality are moved alike, so that what held for them together holds again. Without forget examples
    thresholds are raised where that is needed and never lowered, and whether what is to be forgotten still passes them
    is not known.

    Args:
        model: The model, with the adapter on it.
        processor: Its processor, or a tokenizer for a text-only model.
        retain: What is to be answered as before, in the form that `fit` takes. Some that the fit did not see: of what
            it saw, scores are lower than those of new inputs.
        forget: What is to be refused, by which bounds are placed, and the answers checked.
        adapter_name: The adapter.
        general: As in `fit`.
        alpha, general_alpha: The wanted bounds on the shares of retained and general prompts that are steered.
        batch_size: Examples a forward pass.

    Returns:
        What was changed. The adapter has the new thresholds, and notes the precision that they are for.

    Raises:
        ValueError: If there is no such adapter, its gate is not calibrated, or an argument cannot be used.

    Warns:
        UserWarning: As `Recalibration.warnings` has it.
    """
    check_processor(processor)
    for argument, level in (("alpha", alpha), ("general_alpha", general_alpha)):
        if not isinstance(level, float) or not 0 < level < 1:
            raise ValueError(f"`{argument}` must be a number in (0, 1), got {level!r}.")
    configs = getattr(model, "peft_config", {})
    config = configs.get(adapter_name)
    if not isinstance(config, SteeringAdapterConfig):
        raise ValueError(
            f"`adapter_name`={adapter_name!r} is no steering adapter on this model, of {sorted(configs)}."
        )
    if config.gate != "calibrated":
        raise ValueError(
            f"Adapter {adapter_name!r} has a gate that is {config.gate!r}: only 'calibrated' has thresholds."
        )
    base = base_of(model)
    retained = read_examples(retain, "retain")
    forgotten = [] if forget is None else read_examples(forget, "forget")
    check_disjoint(forgotten, retained)
    others = read_general(general, base, processor, forgotten, retained)
    parts = adapter_parts(base, adapter_name)
    weight, bounds = (
        {layer: tensor.detach() for (layer, of_kind), tensor in parts.items() if of_kind == kind}
        for kind in ("steering_gate_weight", "steering_gate_bounds")
    )
    gates = GateTensors(
        config.readout, config.text_readout, config.gate_layer, config.text_gate_layer, weight, bounds, {}, []
    )

    def open_by(examples: Sequence[Example]) -> Tensor:
        found = torch.empty(len(examples), dtype=torch.float64)
        for batch in capture(
            base, processor, examples, layers=sorted(weight), batch_size=batch_size, description="Reading the gate"
        ):
            found[batch.indices] = openness(batch.sums, config, gates).double().cpu()
        return found

    above = {name: open_by(of) for name, of in (("retain", retained), ("forget", forgotten), ("general", others))}
    result = Recalibration("", [])
    moved: dict[int, Bounds] = {}
    for modality, axis in _AXES:
        if not any(bool(torch.isfinite(of_layer[axis]).all(dim=-1).any()) for of_layer in bounds.values()):
            continue
        here = {
            name: [i for i, example in enumerate(of) if bool(example.images) is (modality == "image")]
            for name, of in (("retain", retained), ("forget", forgotten), ("general", others))
        }
        if not here["retain"]:
            result.warnings.append(
                f"There are no `retain` examples for {modality!r} prompts: their thresholds are as they were, for "
                f"{config.base_precision or 'a precision that is not recorded'}."
            )
            continue
        kept, wanted, rest = (above[name][here[name]] for name in ("retain", "forget", "general"))
        groups = [retained[i].group for i in here["retain"]]
        n_groups = len(set(groups))
        level = max(alpha, supported_alpha(n_groups))
        threshold = group_conformal_threshold(kept, groups, alpha=level)
        if len(rest):
            at = max(general_alpha, supported_alpha(len(rest)))
            threshold = max(threshold, group_conformal_threshold(rest, range(len(rest)), alpha=at))
        new = calibrate(wanted, threshold) if len(wanted) else Bounds(max(threshold, 0.0), max(threshold, 0.0) + 1)
        moved[axis] = new
        result.modalities.append(
            ModalityResult(
                modality=modality,
                n_groups=n_groups,
                alpha=level,
                moved=new.low,
                false_before=group_mean((kept > 0).double(), groups),
                false_after=group_mean((kept > new.low).double(), groups),
                forget_before=float((wanted > 0).double().mean()) if len(wanted) else None,
                forget_after=float((wanted > new.low).double().mean()) if len(wanted) else None,
            )
        )
        if not len(wanted) and new.low > 0:
            result.warnings.append(
                f"Thresholds for {modality!r} prompts rose by {new.low:.0%} of the distance between the bounds, and "
                "whether what is to be forgotten still passes them was not measured: give `forget` examples."
            )
    with torch.no_grad():
        for of_layer in bounds.values():
            for axis, new in moved.items():
                of_layer[axis] = _moved(of_layer[axis], new)
    record_base(config, base)
    result.precision = config.base_precision or ""
    if forgotten:
        asked = forgotten[:: -(-len(forgotten) // _ASKED)]
        answers = greedy_answers(model, processor, asked, batch_size=batch_size)
        own = [config.answer] if config.answer else []
        result.refused = sum(is_refusal(answer, own) for answer in answers) / len(answers)
        if result.refused < _REFUSES:
            result.warnings.append(
                f"The model refuses {result.refused:.0%} of `forget` prompts: thresholds alone do not bring them "
                "back. Fit again on this model."
            )
    for text in result.warnings:
        warnings.warn(text, stacklevel=2)
    return result


def _moved(bounds: Tensor, to: Bounds) -> Tensor:
    """Bounds, (k, 2), moved to where `to` is on a scale on which the lower ones are 0 and the upper ones 1."""
    if to == Bounds(0.0, 1.0):
        return bounds
    low, high = bounds.double().unbind(dim=-1)
    # Rounding must not put the score that is at the threshold above it.
    up = 1e-6 * (low.abs() + (high - low).abs() * (1 + abs(to.low)))
    new = torch.stack([low + to.low * (high - low) + up, low + to.high * (high - low) + up], dim=-1)
    # Infinite bounds, of gates that never open, stay.
    return torch.where(torch.isfinite(bounds), new.to(bounds.dtype), bounds)

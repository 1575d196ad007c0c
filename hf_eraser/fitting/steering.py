"""What is added where the gate opens: directions, and the layers and strength at which the model refuses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from peft import PeftModel, set_peft_model_state_dict
from torch import Tensor
from transformers import PreTrainedModel

from ..base import record_base
from ..config import SteeringAdapterConfig
from ..data import Example
from ..decoder import find_decoder
from ..layer import adapter_layout
from .capture import steering_off
from .direction import DirectionMethod, difference_of_means, paired_pca
from .gates import GateTensors
from .generation import greedy_answers, is_refusal
from .report import Trial
from .source import Source, View


# Refusals of the base model that are looked at, and held-out forget examples that each trial answers.
_REFUSAL_EXAMPLES, _TRIAL_EXAMPLES = 32, 48

# Evenly spaced as factors, so that the middle of a range has as much room on both sides.
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

# A setting is good enough when it refuses this share of what the best one refuses.
_ENOUGH = 0.98

# The adapter that trials attach for a moment.
_TRIAL_NAME = "hf_eraser_trial"


@dataclass(frozen=True)
class Erasure:
    """
    Attributes:
        directions: The erasure direction of each decoder layer, (1, d), float32.
        refusals: The base model's distinct answers to refusal examples, where they are refusals.
        refusal_rate: The share of refusal examples that it refuses.
    """

    directions: dict[int, Tensor]
    refusals: list[str]
    refusal_rate: float


def erasure_directions(
    source: Source, recall: Sequence[Example], refusal: Sequence[Example], *, depth: int, method: DirectionMethod
) -> Erasure:
    """The directions from recall to refusal at the last prompt token, and how the base model refuses."""
    layers = range(depth)
    last: dict[str, dict[int, Tensor]] = {}
    for name, examples in (("recall", recall), ("refusal", refusal)):
        rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
        order: list[int] = []
        as_they_are = [View(i) for i in range(len(examples))]
        for batch in source.read(examples, layers, views=as_they_are, description=f"Reading {name} examples"):
            order += batch.indices
            for layer, sums in batch.sums.items():
                rows[layer].append(sums.last.to("cpu", torch.float32))
        # They come ordered by length; pairs are by position.
        as_given = torch.tensor(order).argsort()
        last[name] = {layer: torch.cat(rows[layer])[as_given] for layer in layers}
    direction = paired_pca if method == "paired_pca" else difference_of_means
    directions = {layer: direction(last["recall"][layer], last["refusal"][layer]) for layer in layers}
    shown = evenly(refusal, _REFUSAL_EXAMPLES)
    with steering_off(source.model):
        answers = greedy_answers(source.model, source.processor, shown, batch_size=source.batch_size)
    refusals = [answer for answer in answers if is_refusal(answer)]
    return Erasure(directions, sorted(set(refusals)), len(refusals) / len(answers))


@dataclass(frozen=True)
class Steering:
    """
    Attributes:
        layers, strength, steer_decode: What was chosen.
        trials: What was tried.
    """

    layers: list[int]
    strength: float
    steer_decode: bool
    trials: list[Trial]


def choose_steering(
    source: Source,
    erasure: Erasure,
    gates: GateTensors,
    held: Sequence[Example],
    config: SteeringAdapterConfig,
    *,
    layers: list[int] | None,
    strength: float | None,
) -> Steering:
    """
    Choose what is left open: of the settings at which held-out forget examples are refused most, the one with most
    room to both sides.

    Args:
        source: The examples and the model.
        erasure: The directions.
        gates: The gates of a fold.
        held: Forget examples that did not fit them.
        config: The adapter's configuration but for layers and strength.
        layers: The steered layers, if they are given.
        strength: The strength, if it is given.
    """
    depth = max(erasure.directions) + 1
    layer_sets = [layers] if layers is not None else _layer_sets(gates, depth)
    strengths = _STRENGTHS if strength is None else (strength,)
    shown = evenly([e for e in held if e.images], _TRIAL_EXAMPLES // 2)
    shown += evenly([e for e in held if not e.images], _TRIAL_EXAMPLES // 2)
    trials: list[Trial] = []
    settings = [
        (steered, factor, decode) for steered in layer_sets for factor in strengths for decode in (True, False)
    ]
    for steered, factor, decode in tqdm(settings, desc="Choosing layers and strength", unit="setting"):
        trial_config = dataclasses.replace(config, layers_to_transform=steered, strength=factor, steer_decode=decode)
        with attached(source, trial_config, erasure, gates):
            answers = greedy_answers(source.model, source.processor, shown, batch_size=source.batch_size)
        refused = [is_refusal(answer, erasure.refusals) for answer in answers]
        known = [(e.answer, answer) for e, answer in zip(shown, answers) if e.answer is not None]
        trials.append(
            Trial(
                layers=steered,
                strength=factor,
                steer_decode=decode,
                refused=sum(refused) / len(refused),
                answered=sum(w.lower() in a.lower() for w, a in known) / len(known) if known else None,
            )
        )
    chosen = middle_of_widest_plateau(trials)
    return Steering(chosen.layers, chosen.strength, chosen.steer_decode, trials)


def middle_of_widest_plateau(trials: Sequence[Trial]) -> Trial:
    """
    The trial with most room on both sides: of the strengths next to each other that all refuse nearly as often as the
    best trial does, with the same layers, the one in the middle.

    A gate that is half open steers half as much, so what is refused at a weaker strength too is refused through such a
    gate as well. Of equally wide plateaus the one with more refusals is taken, then the one with fewer layers.
    """
    enough = _ENOUGH * max(trial.refused for trial in trials)
    plateaus: list[list[Trial]] = []
    for _, alike in itertools.groupby(sorted(trials, key=_setting), key=lambda trial: _setting(trial)[:2]):
        for refuses, plateau in itertools.groupby(alike, key=lambda trial: trial.refused >= enough):
            if refuses:
                plateaus.append(list(plateau))
    widest = max(plateaus, key=lambda p: (len(p), sum(trial.refused for trial in p), -len(p[0].layers)))
    return widest[(len(widest) - 1) // 2]


def _setting(trial: Trial) -> tuple[list[int], bool, float]:
    return trial.layers, trial.steer_decode, trial.strength


def _layer_sets(gates: GateTensors, depth: int) -> list[list[int]]:
    """Which layers are tried: from the gate on to the end, to two thirds, and the gate's next layer alone."""
    if gates.gate_layer is None:
        return [sorted(gates.weight)]
    first = gates.gate_layer
    ends = {depth, max(first + 1, (2 * depth + 2) // 3), first + 1}
    return [list(range(first, end)) for end in sorted(ends, reverse=True)]


def adapter_tensors(
    model: PreTrainedModel, config: SteeringAdapterConfig, erasure: Erasure, gates: GateTensors
) -> dict[str, Tensor]:
    """The adapter's tensors under their names in an adapter file."""
    values = {
        "steering_direction": erasure.directions,
        "steering_gate_weight": gates.weight,
        "steering_gate_bounds": gates.bounds,
    }
    return {
        tensor.file_name: values[tensor.kind][tensor.layer] for tensor in adapter_layout(find_decoder(model), config)
    }


def attach_fitted(
    model: PreTrainedModel | PeftModel, config: SteeringAdapterConfig, tensors: dict[str, Tensor], adapter_name: str
) -> None:
    """Attach a fitted adapter, active, with its base model recorded; a failure leaves the model as it was."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    record_base(config, base)
    if isinstance(model, PeftModel):
        model.add_adapter(adapter_name, config)
        model.set_adapter(adapter_name)
    else:
        model.add_adapter(config, adapter_name)
    set_peft_model_state_dict(model, tensors, adapter_name=adapter_name)


@contextmanager
def attached(source: Source, config: SteeringAdapterConfig, erasure: Erasure, gates: GateTensors) -> Iterator[None]:
    """The adapter is on the model, alone among steering adapters, inside."""
    model = source.adapted
    if isinstance(model, PeftModel):
        others = list(model.active_adapters)
    else:
        others = model.active_adapters() if getattr(model, "peft_config", None) else []
    try:
        attach_fitted(model, config, adapter_tensors(source.model, config, erasure, gates), _TRIAL_NAME)
        yield
    finally:
        if _TRIAL_NAME in getattr(model, "peft_config", {}):
            model.delete_adapter(_TRIAL_NAME)
        if others:
            # A PeftModel takes several names only in its tuner.
            takes_several: Any = model.base_model if isinstance(model, PeftModel) else model
            takes_several.set_adapter(others)


def evenly(examples: Sequence[Example], count: int) -> list[Example]:
    """At most `count` of the examples, evenly spread."""
    if len(examples) <= count:
        return list(examples)
    return [examples[i * len(examples) // count] for i in range(count)]

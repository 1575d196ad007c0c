"""What is added where the gate opens: directions, and the layers and strength at which the model refuses."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

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
from .direction import DirectionMethod, difference_of_means, normalised, paired_pca
from .forced import refusal_gradients
from .gates import GateTensors
from .generation import REFUSAL, greedy_answers, is_refusal
from .report import Trial
from .source import Source, View


# Refusal examples that the base model is asked, and questions that a refusal is forced on: of all concepts together,
# and of each at least.
_REFUSAL_EXAMPLES, _FEWEST_OF_CONCEPT = 32, 4

# Held-out forget examples that each trial answers.
_TRIAL_EXAMPLES = 48

# A model that refuses this share of the refusal examples shows by them what a refusal is.
_REFUSES = 0.5

# Evenly spaced as factors, so that the middle of a range has as much room on both sides.
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

# A setting is good enough when it refuses this share of what the best one refuses.
_ENOUGH = 0.98

_Item = TypeVar("_Item")

# The adapter that trials attach for a moment.
_TRIAL_NAME = "hf_eraser_trial"


@dataclass(frozen=True)
class Erasure:
    """
    Attributes:
        directions: The erasure directions of each decoder layer, (k, d), one for each concept, float32.
        refusals: What counts as a refusal: the base model's distinct refusals, and what was put into its mouth.
        refusal_rates: The share of refusal examples that the base model refuses, by concept.
        forced: What was put into its mouth to make a concept's direction; None for a concept that it does refuse.
    """

    directions: dict[int, Tensor]
    refusals: list[str]
    refusal_rates: list[float]
    forced: list[str | None]


def erasure_directions(
    source: Source, recall: Sequence[Example], refusal: Sequence[Example], *, depth: int, method: DirectionMethod
) -> Erasure:
    """
    The direction of each concept from recall to refusal at the last prompt token, as long as the residual stream.

    Where the base model answers most of a concept's refusal examples, they show no refusal. Then the direction is the
    one that makes a refusal more likely as the answer to the recall examples.

    Raises:
        ValueError: If a direction would be zero.
    """
    recalls = [of_concept(recall, concept) for concept in source.concepts]
    refusals = [of_concept(refusal, concept) for concept in source.concepts]
    share = max(_FEWEST_OF_CONCEPT, _REFUSAL_EXAMPLES // len(source.concepts))
    shown = sorted({i for positions in refusals for i in evenly(positions, share)})
    with steering_off(source.model):
        asked = [refusal[i] for i in shown]
        answers = greedy_answers(source.model, source.processor, asked, batch_size=source.batch_size)
    given = dict(zip(shown, answers))
    known = Counter(answer for answer in answers if is_refusal(answer))
    rates = []
    for positions in refusals:
        refused = [is_refusal(given[i]) for i in positions if i in given]
        rates.append(sum(refused) / len(refused))
    text = known.most_common(1)[0][0] if known else REFUSAL
    forced = [None if rate >= _REFUSES else text for rate in rates]

    layers = range(depth)
    recall_last = _read_last(source, recall, layers, "recall")
    refusal_last = _read_last(source, refusal, layers, "refusal") if None in forced else {}
    direction = paired_pca if method == "paired_pca" else difference_of_means
    directions: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for from_rows, to_rows, refused_by_force in zip(recalls, refusals, forced):
        gradients = {}
        if refused_by_force is not None:
            questions = [recall[i] for i in evenly(from_rows, share)]
            gradients = refusal_gradients(source.model, source.processor, questions, refused_by_force)
        for layer in layers:
            rows = recall_last[layer][from_rows]
            if gradients:
                found = direction(torch.zeros_like(gradients[layer]), gradients[layer])
            else:
                found = direction(rows, refusal_last[layer][to_rows])
            directions[layer].append(normalised(found, rows))
    stacked = {layer: torch.cat(found) for layer, found in directions.items()}
    for k, concept in enumerate(source.concepts):
        if not any(found[k].any() for found in stacked.values()):
            about = "" if concept is None else f" of concept {concept!r}"
            raise ValueError(
                f"`recall` and `refusal` examples{about} read the same, so no direction leads from one to the other: "
                "the former must be questions that the model answers, the latter ones that it refuses."
            )
    return Erasure(stacked, sorted({*known, *(text for text in forced if text is not None)}), rates, forced)


def _read_last(source: Source, examples: Sequence[Example], layers: Sequence[int], name: str) -> dict[int, Tensor]:
    """The residual stream at the last prompt token, in the order of the examples, (n, d) for each layer, float32."""
    rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    order: list[int] = []
    as_they_are = [View(i) for i in range(len(examples))]
    for batch in source.read(examples, layers, views=as_they_are, description=f"Reading {name} examples"):
        order += batch.indices
        for layer, sums in batch.sums.items():
            rows[layer].append(sums.last.to("cpu", torch.float32))
    # They come ordered by length; pairs are by position.
    as_given = torch.tensor(order).argsort()
    return {layer: torch.cat(of_layer)[as_given] for layer, of_layer in rows.items()}


def of_concept(examples: Sequence[Example], concept: Hashable) -> list[int]:
    """The positions of the examples for a concept; those without one are for each."""
    return [i for i, example in enumerate(examples) if example.concept in (concept, None)]


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


def evenly(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most `count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]

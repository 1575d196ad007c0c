"""The fitted gate under attack, before it is delivered: what it lets pass, and what the model then gives away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data.encoding import encode
from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import holds
from ...tuner.config import SteeringAdapterConfig
from ...tuner.gate import gate_scores
from ...tuner.readouts import ReadoutSums
from ..directions.erasure import Erasure
from ..gates.choosing import GateTensors
from ..reading.capture import reading
from ..reading.split import FOLDS
from ..reading.views import Source, View, evenly
from ..report.results import AttackResult
from ..steering.attaching import attached
from .pgd import PGD, Loss, perturb_examples


# Held-out forget examples of each modality that every kind of attack is tried on; pictures that PGD is tried on.
_EXAMPLES, _PGD_EXAMPLES = 24, 8

# The perturbation of pictures against the gate.
_PGD = PGD(eps=8 / 255, steps=20)


def resist(
    source: Source,
    config: SteeringAdapterConfig,
    erasure: Erasure,
    gates: GateTensors,
    held: Sequence[Example],
    *,
    fold: int,
) -> list[AttackResult]:
    """
    Attack the gates of a fold with what they were not fitted on: held-out forget examples, and the fold's attacks.

    Args:
        source: The examples, the model and the attacks.
        config: The adapter's configuration.
        erasure: The directions.
        gates: The gates of the fold.
        held: Forget examples that did not fit them.
        fold: The fold.

    Returns:
        One result for each kind of attack and modality, none where there are no attacks.
    """
    if not source.attacks or not held:
        return []
    rng = np.random.default_rng([source.seed, fold])
    shown: dict[tuple[str, str], list[Example]] = {}
    of_modality = {
        "image": evenly([example for example in held if example.images], _EXAMPLES),
        "text": evenly([example for example in held if not example.images], _EXAMPLES),
    }
    by_kind: dict[str, list[int]] = {}
    for n, attack in enumerate(source.attacks):
        if n % FOLDS == fold:
            by_kind.setdefault(attack.kind, []).append(n)
    for modality, examples in of_modality.items():
        if not examples:
            continue
        shown["none", modality] = examples
        for kind, numbers in by_kind.items():
            views = [View(i, 0, numbers[i % len(numbers)]) for i in range(len(examples))]
            shown[kind, modality] = [source.show(examples, view, [fold]) for view in views]
    with_picture = of_modality["image"]
    if with_picture and source.augmentation is not None:
        harder = source.augmentation.harder()
        shown["picture changed harder", "image"] = [
            example.with_changed_images(lambda image: harder(image, rng)) for example in with_picture
        ]
    not_tried = None
    if with_picture and hasattr(source.processor, "image_processor"):
        try:
            shown["PGD against the gate", "image"] = _evading(source, config, gates, with_picture)
        except ValueError as error:  # its image processor has no gradient
            not_tried = AttackResult("PGD against the gate", "image", 0, None, None, note=str(error))

    with attached(source, config, erasure, gates):
        results = [
            AttackResult(
                kind,
                modality,
                len(examples),
                opened=_opened(source, config, gates, examples),
                answered=_answered(source, examples),
            )
            for (kind, modality), examples in shown.items()
        ]
    return results if not_tried is None else [*results, not_tried]


def _gate_layers(config: SteeringAdapterConfig) -> list[int]:
    if config.gate_layer is not None:
        return [config.gate_layer]
    assert isinstance(config.layers_to_transform, list)
    return config.layers_to_transform


def _openness(sums: dict[int, ReadoutSums], config: SteeringAdapterConfig, gates: GateTensors) -> Tensor:
    """How far each prompt is above the lower bound of the gate that is open farthest, (batch,); 0 is at the bound."""
    above = []
    for layer in _gate_layers(config):
        has_image = sums[layer].has_image
        readout = sums[layer].read(config.readout, config.text_readout)
        score = gate_scores(readout, has_image, gates.weight[layer].to(readout.device))
        low, high = gates.bounds[layer].to(readout.device)[(~has_image).long()].unbind(dim=-1)
        # Of a modality that a concept is never asked about in, the bounds are infinite: that gate stays shut.
        openness = torch.where(torch.isfinite(low), (score - low) / (high - low), -torch.inf)
        above.append(openness.amax(dim=1))
    return torch.stack(above).amax(dim=0)


def _opened(
    source: Source, config: SteeringAdapterConfig, gates: GateTensors, examples: Sequence[Example]
) -> float | None:
    """The share of prompts whose gate opens."""
    if config.gate == "always":
        return 1.0
    views = [View(i) for i in range(len(examples))]
    batches = source.read(examples, _gate_layers(config), views=views, description="Attacking the gate")
    opened = [_openness(batch.sums, config, gates) > 0 for batch in batches]
    return float(torch.cat(opened).double().mean())


def _answered(source: Source, examples: Sequence[Example]) -> float | None:
    """The share of answers that still hold what was to be forgotten; None where no answers are known."""
    known = [example for example in examples if example.answer]
    if not known:
        return None
    given = greedy_answers(source.model, source.processor, known, batch_size=source.batch_size)
    return sum(holds(text, str(example.answer)) for text, example in zip(given, known)) / len(known)


def _evading(
    source: Source, config: SteeringAdapterConfig, gates: GateTensors, examples: Sequence[Example]
) -> list[Example]:
    """The examples with pictures perturbed to keep the gate shut."""
    layers = _gate_layers(config)

    def objective(batch: Sequence[Example]) -> tuple[dict[str, Any], Loss]:
        def loss(inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
            openness = _openness(read(inputs), config, gates)
            # Not just at the bound, where rounding would decide.
            return openness, (openness.detach() < -0.01).cpu()

        return encode(source.processor, batch, source.model.device), loss

    chosen = evenly(list(examples), _PGD_EXAMPLES)
    # One at a time: the gradient takes many times the memory of the passes before.
    processor: Any = source.processor
    with reading(source.model, layers) as read:
        found = perturb_examples(source.model, processor, chosen, _PGD, batch_size=1, objective=objective)
    return [adversarial.example for adversarial in found]

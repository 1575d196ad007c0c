"""The fitted gate under attack, before it is delivered: what it lets pass, and what the model then gives away."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import holds
from ...tuner.config import SteeringAdapterConfig
from ..directions.erasure import Erasure
from ..gates.delivering import GateTensors
from ..reading.split import FOLDS
from ..reading.views import Source, View, evenly
from ..report.results import CHANGED_PICTURE, PERTURBED_PICTURE, AttackResult
from ..steering.attaching import attached
from ..steering.openness import share_opened
from .evasion import evading
from .pgd import PGD, NoGradientError


# Held-out forget examples of each modality that every kind of attack is tried on; pictures that PGD is tried on.
_EXAMPLES, _PGD_EXAMPLES = 24, 8

# Asked as they are, so many of each concept, and in all; a concept counts by itself if so many were asked of it.
_OF_CONCEPT, _IN_ALL, _ENOUGH = 24, 240, 12

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
        One result for each kind of attack and modality, and one for the prompts as they are. Pictures are attacked
        where there are attacks on words.
    """
    if not held:
        return []
    rng = np.random.default_rng([source.seed, fold])
    shown: dict[tuple[str, str], list[Example]] = {}
    of_modality = {
        "image": [example for example in held if example.images],
        "text": [example for example in held if not example.images],
    }
    by_kind: dict[str, list[int]] = {}
    for n, attack in enumerate(source.attacks):
        if n % FOLDS == fold:
            by_kind.setdefault(attack.kind, []).append(n)
    for modality, of in of_modality.items():
        if not of:
            continue
        shown["none", modality] = _as_they_are(of)
        examples = evenly(of, _EXAMPLES)
        for kind, numbers in by_kind.items():
            views = [View(i, 0, numbers[i % len(numbers)]) for i in range(len(examples))]
            shown[kind, modality] = [source.show(examples, view, [fold]) for view in views]
    with_picture = evenly(of_modality["image"], _EXAMPLES)
    if with_picture and source.attacks and source.augmentation is not None:
        harder = source.augmentation.harder()
        shown[CHANGED_PICTURE, "image"] = [
            example.with_changed_images(lambda image: harder(image, rng)) for example in with_picture
        ]
    not_tried = None
    if with_picture and source.attacks and hasattr(source.processor, "image_processor"):
        try:
            chosen = evenly(with_picture, _PGD_EXAMPLES)
            shown[PERTURBED_PICTURE, "image"] = evading(source, config, gates, chosen, _PGD)
        except NoGradientError as error:
            not_tried = AttackResult(PERTURBED_PICTURE, "image", 0, None, None, note=str(error))

    results = []
    with attached(source, config, erasure, gates):
        for (kind, modality), examples in shown.items():
            answered = _answered(source, examples)
            every = [one for of_concept in answered.values() for one in of_concept]
            worst = [sum(one) / len(one) for one in answered.values() if len(one) >= _ENOUGH]
            results.append(
                AttackResult(
                    kind,
                    modality,
                    len(examples),
                    opened=share_opened(source, config, gates, examples),
                    answered=sum(every) / len(every) if every else None,
                    worst=max(worst, default=None) if len(answered) > 1 else None,
                )
            )
    return results if not_tried is None else [*results, not_tried]


def _as_they_are(examples: Sequence[Example]) -> list[Example]:
    """Of each concept as many, evenly spread; of those whose answers are known, if there are any."""
    by_concept: dict[Hashable, list[Example]] = {}
    for example in [e for e in examples if e.answer] or examples:
        by_concept.setdefault(example.concept, []).append(example)
    each = min(_OF_CONCEPT, _IN_ALL // len(by_concept))
    return [example for alike in by_concept.values() for example in evenly(alike, each)]


def _answered(source: Source, examples: Sequence[Example]) -> dict[Hashable, list[bool]]:
    """By concept, whether each answer still holds what was to be forgotten; of those whose answers are known."""
    known = [example for example in examples if example.answer]
    given = greedy_answers(
        source.model, source.processor, known, batch_size=source.batch_size, processes=source.processes
    )
    answered: dict[Hashable, list[bool]] = {}
    for text, example in zip(given, known):
        answered.setdefault(example.concept, []).append(holds(text, example.answers))
    return answered

"""The arguments of `fit`, checked against each other before any work starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

from ..data.examples import Example
from ..evaluation.judging import check_refusals
from ..tuner.fields import GATE_MODES, MOST_DIRECTIONS, POSITIONS, READOUTS
from .attacks.pgd import PGD
from .directions.closed_form import DirectionMethod
from .directions.erasure import of_concept
from .gates.calibration import supported_alpha
from .gates.solving import RIDGES, SHARES, Estimator, Parameter
from .reading.split import FOLDS, Split
from .steering.fixed_answer import ANSWERS


# Added to a forget prompt where the user gives no refusal examples.
INSTRUCTION = 'Do not answer this question. Say only: "{}"'

# What to keep where forgetting and retaining contradict each other.
Prefer = Literal["retain", "forget"]

# Where thresholds come from: all examples, each by gates that it did not fit; or a part that fits nothing.
CalibrationBy = Literal["cross", "split"]

# Which recall and refusal examples make the directions.
Contrast = Literal["both", "text", "image"]


def check_choices(
    *,
    readout: str | None,
    gate: str,
    estimator: str,
    direction: str,
    contrast: str,
    alpha: float,
    general_alpha: float,
    forget_rate: float,
    prefer: str | None,
    positions: str | None,
    batch_size: int,
    adapter_name: str,
    adversarial: object,
    harden_pictures: object,
    answer: str,
    refusal: object,
    refusals: Sequence[str],
    calibration: str,
) -> None:
    for name, value, allowed in (
        ("readout", readout, (None, *READOUTS)),
        ("gate", gate, GATE_MODES),
        ("positions", positions, (None, *POSITIONS)),
        ("prefer", prefer, (None, *get_args(Prefer))),
        ("calibration", calibration, get_args(CalibrationBy)),
        ("estimator", estimator, ("ridge", "nullspace")),
        ("direction", direction, get_args(DirectionMethod)),
        ("contrast", contrast, get_args(Contrast)),
    ):
        if value not in allowed:
            raise ValueError(f"`{name}` must be one of {allowed}, got {value!r}.")
    for argument, level in (("alpha", alpha), ("general_alpha", general_alpha)):
        if not isinstance(level, float) or not 0 < level < 1:
            raise ValueError(f"`{argument}` must be a number in (0, 1), got {level!r}.")
    # One word is a slip rather than a sentence.
    if not isinstance(answer, str) or (answer not in ANSWERS and len(answer.split()) < 2):
        raise ValueError(f"`answer` must be one of {ANSWERS} or a sentence, got {answer!r}.")
    check_refusals(refusals)
    if calibration == "split" and (prefer == "forget" or gate != "calibrated"):
        raise ValueError(
            "`calibration`='split' keeps to `alpha` whatever is then forgotten: it takes a calibrated gate and no "
            f"`prefer`='forget', got `gate`={gate!r} and `prefer`={prefer!r}."
        )
    if answer == "unknown" and refusal is not None:
        raise ValueError(
            "`answer`='unknown' has examples of its own, got `refusal` too: leave one out. With `refusal`, the model "
            "is led to what it answers to those."
        )
    if not isinstance(forget_rate, float) or not 0 < forget_rate <= 1:
        raise ValueError(f"`forget_rate` must be a number in (0, 1], got {forget_rate!r}.")
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"`batch_size` must be a whole number of at least 1, got {batch_size!r}.")
    for argument, attack in (("adversarial", adversarial), ("harden_pictures", harden_pictures)):
        if not isinstance(attack, (bool, PGD)):
            raise TypeError(f"`{argument}` must be True, False or a PGD, got {attack!r}.")
    if not isinstance(adapter_name, str) or not adapter_name or "." in adapter_name:
        raise ValueError(f"`adapter_name` must be a name without dots, got {adapter_name!r}.")


def check_enough_groups(split: Split, retain: list[Example], fold: int, alpha: float) -> None:
    """Whether the groups that judge a fold support the level, in each modality."""
    for with_image in (True, False):
        alike = [(e, role) for e, role in zip(retain, split.retain) if bool(e.images) is with_image]
        judging = {example.group for example, role in alike if role.judges == fold}
        if alike and supported_alpha(len(judging)) > alpha:
            needed = math.ceil(1 / alpha - 1)
            raise ValueError(
                f"`calibration`='split' needs {needed} retained groups "
                f"{'with' if with_image else 'without'} a picture in the part that calibrates, for `alpha`={alpha:g}, "
                f"and there are {len(judging)}: give about {needed * FOLDS} in all, a larger `alpha`, or "
                "`calibration`='cross'."
            )


def check_concepts(
    forget: list[Example], recall: list[Example], refusal: list[Example], direction: DirectionMethod
) -> None:
    concepts = {example.concept for example in forget}
    if len(concepts) > MOST_DIRECTIONS:
        raise ValueError(
            f"`forget` names {len(concepts)} concepts, an adapter holds at most {MOST_DIRECTIONS}: name one for "
            "several of them, or none."
        )
    if None in concepts and len(concepts) > 1:
        without = next(i for i, example in enumerate(forget) if example.concept is None)
        raise ValueError(f"`forget[{without}]` has no 'concept', others have: name one in all of them or in none.")
    for argument, examples in (("recall", recall), ("refusal", refusal)):
        unknown = {example.concept for example in examples} - concepts - {None}
        if unknown:
            raise ValueError(
                f"`{argument}` names concepts that `forget` does not: {sorted(map(repr, unknown))}. `forget` has "
                f"{sorted(map(repr, concepts - {None}))}."
            )
        for concept in concepts:
            if not of_concept(examples, concept):
                raise ValueError(
                    f"There are no `{argument}` examples for concept {concept!r}: give some, or ones without a "
                    "'concept', which are for all."
                )
    for concept in concepts:
        counts = len(of_concept(recall, concept)), len(of_concept(refusal, concept))
        if direction == "paired_pca" and counts[0] != counts[1]:
            about = "" if concept is None else f" for concept {concept!r}"
            raise ValueError(
                "`direction`='paired_pca' pairs `recall[i]` (by default the forget set) with `refusal[i]`: there must "
                f"be as many of one as of the other, got {counts[0]} and {counts[1]}{about}."
            )


def contrasted(examples: list[Example], contrast: Contrast, argument: str) -> list[Example]:
    if contrast == "both":
        return examples
    chosen = [example for example in examples if bool(example.images) is (contrast == "image")]
    if not chosen:
        kind = "with" if contrast == "image" else "without"
        raise ValueError(f"`contrast`={contrast!r} uses `{argument}` examples {kind} an image, and there are none.")
    return chosen


def parameter_of(
    estimator: Estimator, *, ridge: float | None, share: float | None, energy: float | None
) -> tuple[Parameter, tuple[float, ...]]:
    """What gates are fitted with, and the values that are tried."""
    given: list[tuple[str, Parameter, Estimator, float | None]] = [
        ("ridge", "ridge", "ridge", ridge),
        ("null_space_share", "share", "nullspace", share),
        ("null_space_energy", "energy", "nullspace", energy),
    ]
    if share is not None and energy is not None:
        raise ValueError(f"Give `null_space_share` or `null_space_energy`, not both: got {share!r} and {energy!r}.")
    for argument, parameter, of, value in given:
        if value is None:
            continue
        if estimator != of:
            raise ValueError(f"`{argument}` belongs to `estimator`={of!r}, got `estimator`={estimator!r}.")
        if parameter == "ridge" and not value > 0:
            raise ValueError(f"`ridge` must be positive, got {value!r}.")
        if parameter == "share" and not 0 < value <= 1:
            raise ValueError(f"`null_space_share` must be positive and at most 1, got {value!r}.")
        if parameter == "energy" and not 0 <= value < 1:
            raise ValueError(f"`null_space_energy` must be at least 0 and below 1, got {value!r}.")
        return parameter, (value,)
    return ("ridge", RIDGES) if estimator == "ridge" else ("share", SHARES)

"""Which layers are steered, and how strongly: the middle of the widest range at which the model refuses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub.utils import tqdm

from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import is_refusal
from ...tuner.config import SteeringAdapterConfig
from ..directions.erasure import Erasure
from ..gates.choosing import GateTensors
from ..reading.views import Source, evenly
from ..report.results import Trial
from .attaching import attached


# Held-out forget examples that each trial answers.
_TRIAL_EXAMPLES = 48

# Evenly spaced as factors, so that the middle of a range has as much room on both sides.
_STRENGTHS = (0.25, 0.5, 1.0, 2.0, 4.0)

# A setting is good enough when it refuses this share of what the best one refuses.
_ENOUGH = 0.98


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

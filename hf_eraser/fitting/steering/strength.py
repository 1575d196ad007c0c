"""Which layers and tokens are steered, and how strongly: the middle of the widest range at which the model refuses."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from huggingface_hub.utils import tqdm

from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import holds, is_refusal
from ...tuner.config import Positions, SteeringAdapterConfig
from ..directions.erasure import Erasure
from ..gates.delivering import GateTensors
from ..reading.views import Source, evenly
from ..report.results import Trial
from .attaching import attached
from .fluency import Fluency
from .openness import openness_of


# Held-out forget examples that each setting answers while the range of strengths is looked for, and that the middle of
# a range answers before it is taken.
_PROBES, _TRIAL_EXAMPLES = 12, 48

# Strengths are tried by factors of 2, so that the middle of a range has as much room on both sides; from this one on,
# down to and up to these.
_FIRST, _LEAST, _MOST = 2.0, 1 / 16, 64.0

# A strength works where so many of the answers are refusals, and they are so fluent: see `Fluency`.
_REFUSES, _FLUENT = 0.9, 0.5

# A setting is good enough when it refuses this share of what the best one refuses.
_ENOUGH = 0.98

# What is steered of the prompt and the answer; generated tokens beside the last prompt token alone are not tried: on
# every model that it was measured on, refusals then turned into broken text.
_STEERED: tuple[tuple[Positions, bool], ...] = (("last", False), ("prompt", False), ("prompt", True))


@dataclass(frozen=True)
class Steering:
    """
    Attributes:
        chosen: What was chosen.
        trials: What was tried.
    """

    chosen: Trial
    trials: list[Trial]


def choose_steering(
    source: Source,
    erasure: Erasure,
    gates: GateTensors,
    held: Sequence[Example],
    config: SteeringAdapterConfig,
    *,
    refusal: Example,
    layers: list[int] | None,
    strength: float | None,
    positions: Positions | None,
) -> Steering:
    """
    Choose what is left open: of the settings at which held-out forget examples are refused most, the one with most
    room to both sides.

    For each choice of layers and tokens, strengths are tried upwards and downwards until both ends of the range are
    found at which the model refuses. The last prompt token alone is steered where that refuses as well as steering the
    whole prompt does.

    Args:
        source: The examples and the model.
        erasure: The directions.
        gates: The gates of a fold.
        held: Forget examples that did not fit them.
        config: The adapter's configuration but for what is chosen here.
        refusal: A prompt that is to be refused, by which refusals are read; see `Fluency`.
        layers: The steered layers, if they are given.
        strength: The strength, if it is given.
        positions: The steered tokens of the prompt, if they are given.
    """
    depth = max(erasure.directions) + 1
    layer_sets = [layers] if layers is not None else _layer_sets(gates, depth)
    fluency = Fluency(source, refusal, erasure.refusals)
    trials: list[Trial] = []

    def attempt(setting: Trial, shown: Sequence[Example]) -> Trial:
        trial_config = dataclasses.replace(
            config,
            layers_to_transform=setting.layers,
            strength=setting.strength,
            positions=setting.positions,
            steer_decode=setting.steer_decode,
        )
        with attached(source, trial_config, erasure, gates):
            answers = greedy_answers(source.model, source.processor, shown, batch_size=source.batch_size)
        refused = [is_refusal(answer, erasure.refusals) for answer in answers]
        known = [(e.answer, answer) for e, answer in zip(shown, answers) if e.answer is not None]
        trial = dataclasses.replace(
            setting,
            refused=sum(refused) / len(refused),
            answered=sum(holds(a, w) for w, a in known) / len(known) if known else None,
            fluency=fluency.of(answers),
            count=len(shown),
        )
        trials.append(trial)
        return trial

    # What a strength does shows where the gate is open; how often it is has been judged already.
    open_enough = openness_of(source, config, gates, held) >= 1
    opened = [example for example, is_open in zip(held, open_enough.tolist()) if is_open] or list(held)
    probes, every = _shown(opened, _PROBES), _shown(opened, _TRIAL_EXAMPLES)
    finalists: list[Trial] = []
    tried = [(where, decode) for where, decode in _STEERED if positions in (None, where)]
    with tqdm(total=len(tried) * len(layer_sets), desc="Choosing layers and strength", unit="setting") as bar:
        for where, decode in tried:
            ranges = []
            for steered in layer_sets:
                setting = Trial(steered, _FIRST if strength is None else strength, decode, 0.0, None, where)
                if strength is None:
                    ranges.append(working_range(setting, lambda trial: attempt(trial, probes)))
                else:
                    ranges.append([attempt(setting, every)])
                bar.update()
            # The best by the probes, then by more examples.
            finalist = middle_of_widest(ranges)
            finalists.append(finalist if strength is not None else attempt(finalist, every))
            if finalists[-1].refused >= _ENOUGH:
                break  # what changes more cannot be better by enough
    return Steering(best_of(finalists), trials)


def working_range(setting: Trial, attempt: Callable[[Trial], Trial]) -> list[Trial]:
    """
    The strengths next to each other, by factors of 2, at which the model refuses, ascending, until both ends are
    found. Where it does at none, the one at which it refuses most.

    Args:
        setting: What is steered.
        attempt: Tries it at the strength that it has.
    """
    tried: dict[float, Trial] = {}

    def result(at: float) -> Trial:
        if at not in tried:
            tried[at] = attempt(dataclasses.replace(setting, strength=at))
        return tried[at]

    for turn in itertools.count():
        # From the first outwards, in turns: 2, 4, 1, 8, 1/2, ...
        at = _FIRST * 2.0 ** ((turn + 1) // 2 * (1 if turn % 2 else -1))
        if not _LEAST <= at <= _MOST:
            return [max(tried.values(), key=lambda trial: (trial.refused, trial.fluency or 0.0))]
        if works(result(at)):
            break
    found = [tried[at]]
    for factor in (2.0, 0.5):
        at = found[-1 if factor > 1 else 0].strength * factor
        while _LEAST <= at <= _MOST and works(result(at)):
            found.insert(len(found) if factor > 1 else 0, result(at))
            at *= factor
    return found


def works(trial: Trial) -> bool:
    """Whether a model at this strength refuses, and in sentences."""
    return trial.refused >= _REFUSES and (trial.fluency is None or trial.fluency >= _FLUENT)


def middle_of_widest(ranges: Sequence[list[Trial]]) -> Trial:
    """
    The trial with most room on both sides: of the ranges of strengths that work, that in the middle of the widest.

    A gate that is half open steers half as much, so what is refused at a weaker strength too is refused through such a
    gate as well. Of equally wide ranges the one with more refusals is taken, then the one with fewer layers.
    """

    def key(working: list[Trial]) -> tuple[int, float, int]:
        width = len(working) if works(working[0]) else 0
        return width, sum(trial.refused for trial in working) / len(working), -len(working[0].layers)

    widest = max(ranges, key=key)
    return widest[(len(widest) - 1) // 2]


def best_of(finalists: Sequence[Trial]) -> Trial:
    """The first one that refuses nearly as often as the best does: those that change least come first."""
    enough = _ENOUGH * max(trial.refused for trial in finalists)
    return next(trial for trial in finalists if trial.refused >= enough)


def _shown(held: Sequence[Example], count: int) -> list[Example]:
    """Of each modality as many, if there are two, evenly spread."""
    modalities = [alike for alike in ([e for e in held if e.images], [e for e in held if not e.images]) if alike]
    return [example for alike in modalities for example in evenly(alike, count // len(modalities))]


def _layer_sets(gates: GateTensors, depth: int) -> list[list[int]]:
    """Which layers are tried: from the gate on to the end, to two thirds, and the gate's next layer alone."""
    if gates.gate_layer is None:
        return [sorted(gates.weight)]
    first = max(gates.weight)
    ends = {depth, max(first + 1, (2 * depth + 2) // 3), first + 1}
    return [list(range(first, end)) for end in sorted(ends, reverse=True)]

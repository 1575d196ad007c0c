"""Which layers and tokens are steered, and how strongly: what refuses, with room, and breaks off a begun answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from huggingface_hub.utils import tqdm

from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import holds, is_refusal
from ...tuner.config import SteeringAdapterConfig
from ...tuner.fields import Positions
from ..directions.erasure import Erasure
from ..gates.delivering import GateTensors
from ..reading.split import FOLDS
from ..reading.views import Source, View, evenly
from ..report.results import Trial
from .attaching import attached
from .fluency import Fluency
from .openness import openness_of


# Held-out forget examples that each setting answers while the range of strengths is looked for, and that the middle of
# a range answers before it is taken.
_PROBES, _TRIAL_EXAMPLES = 12, 48

# The examples of the search are answered in so many parts, until a setting can no longer work.
_PARTS = 2

# Strengths are tried by factors of 2, so that the middle of a range has as much room on both sides; from this one on,
# down to and up to these.
_FIRST, _LEAST, _MOST = 2.0, 1 / 16, 64.0

# A strength works where so many of the answers are refusals, and they are so fluent: see `Fluency`.
_REFUSES, _FLUENT = 0.9, 0.5

# A strength is enough when so few of the answers that were begun already go on to hold what was to be forgotten.
_GOES_ON = 0.05

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
    fold: int,
) -> Steering:
    """
    Choose what is left open: of the settings at which held-out forget examples are refused most, the one with most
    room to both sides, and stronger where answers that were begun already go on otherwise.

    For each choice of layers and tokens, strengths are tried upwards and downwards until both ends of the range are
    found at which the model refuses, or as far as one could be. The last prompt token alone is steered where that
    refuses as well as steering the whole prompt does.

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
        fold: The fold that `held` judges.
    """
    layer_sets = [layers] if layers is not None else _layer_sets(gates, sorted(erasure.directions))
    fluency = Fluency(source, refusal, erasure.refusals)
    trials: list[Trial] = []

    def answers_to(shown: Sequence[Example], setting: Trial) -> list[str]:
        trial_config = dataclasses.replace(
            config,
            layers_to_transform=setting.layers,
            strength=setting.strength,
            positions=setting.positions,
            steer_decode=setting.steer_decode,
        )
        with attached(source, trial_config, erasure, gates):
            return greedy_answers(
                source.model, source.processor, shown, batch_size=source.batch_size, processes=source.processes
            )

    def attempt(setting: Trial, shown: Sequence[Example], parts: int = 1) -> Trial:
        asked: list[Example] = []
        answers: list[str] = []
        refused: list[bool] = []
        for part in (shown[i::parts] for i in range(min(parts, len(shown)))):
            given = answers_to(part, setting)
            asked, answers = [*asked, *part], [*answers, *given]
            refused += [refuses(answer, erasure, fluency) for answer in given]
            if not can_work(refused, len(shown)):
                break
        known = [(e.answers, answer) for e, answer in zip(asked, answers) if e.answers]
        trial = dataclasses.replace(
            setting,
            refused=sum(refused) / len(refused),
            answered=sum(holds(a, w) for w, a in known) / len(known) if known else None,
            fluency=fluency.of(answers),
            count=len(asked),
        )
        trials.append(trial)
        return trial

    # What a strength does shows where the gate is open; how often it is has been judged already.
    open_enough = openness_of(source, config, gates, held) >= 1
    opened = [example for example, is_open in zip(held, open_enough.tolist()) if is_open] or list(held)
    probes, every = _shown(opened, _PROBES), _shown(opened, _TRIAL_EXAMPLES)
    begun = _answers_begun(source, every, fold)

    def attempt_begun(setting: Trial) -> Trial:
        trial = attempt(setting, every)
        if begun:
            given = answers_to(begun, trial)
            trial.begun = sum(holds(a, str(e.answer)) for a, e in zip(given, begun)) / len(begun)
        return trial

    finalists: list[Trial] = []
    tried = [(where, decode) for where, decode in _STEERED if positions in (None, where)]
    quiet = not source.processes.main
    total = len(tried) * len(layer_sets)
    with tqdm(total=total, desc="Choosing layers and strength", unit="setting", disable=quiet) as bar:
        for where, decode in tried:
            ranges = []
            for steered in layer_sets:
                setting = Trial(steered, _FIRST if strength is None else strength, decode, 0.0, None, where)
                if strength is None:
                    ranges.append(working_range(setting, lambda trial: attempt(trial, probes, _PARTS)))
                else:
                    ranges.append([attempt(setting, every)])
                bar.update()
            # The best by the probes, then by more examples.
            finalist = middle_of_widest(ranges)
            if strength is None:
                (working,) = (working for working in ranges if finalist in working)
                finalist = strong_enough(working[working.index(finalist) :], attempt_begun)
            finalists.append(finalist)
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

    found = _outwards(result)
    if not found:
        return [max(tried.values(), key=lambda trial: (trial.refused, trial.fluency or 0.0))]
    for factor in (2.0, 0.5):
        at = found[-1 if factor > 1 else 0].strength * factor
        while _LEAST <= at <= _MOST and works(result(at)):
            found.insert(len(found) if factor > 1 else 0, result(at))
            at *= factor
    return found


def _outwards(result: Callable[[float], Trial]) -> list[Trial]:
    """The first strength that works, as a list, from the first one outwards in turns; empty where none does."""
    first = result(_FIRST)
    if works(first):
        return [first]
    farthest = {2.0: first, 0.5: first}
    while farthest:
        for factor, trial in list(farthest.items()):
            at = trial.strength * factor
            if not _LEAST <= at <= _MOST or _in_vain(trial, factor):
                del farthest[factor]
            elif works(result(at)):
                return [result(at)]
            else:
                farthest[factor] = result(at)
    return []


def _in_vain(trial: Trial, factor: float) -> bool:
    """
    Whether strengths farther on can work no better: nothing is refused, and in most cases the answer is lost already,
    or for weaker ones, given still.
    """
    if trial.refused or trial.answered is None:
        return False
    return trial.answered < 0.5 if factor > 1 else trial.answered >= 0.5


def refuses(answer: str, erasure: Erasure, fluency: Fluency) -> bool:
    """
    Whether an answer is one of the base model's own refusals, or nearly; or, since real models refuse in other words
    each time, reads as another refusal and is fluent in the base model's eyes.
    """
    if is_refusal(answer, erasure.refusals):
        return True
    return erasure.any_refusal and is_refusal(answer) and fluency.of([answer]) >= _FLUENT


def can_work(refused: Sequence[bool], count: int) -> bool:
    """Whether a setting still works if all else of `count` answers are refusals, of which these are known."""
    return (count - list(refused).count(False)) / count >= _REFUSES


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


def strong_enough(stronger: Sequence[Trial], attempt: Callable[[Trial], Trial]) -> Trial:
    """
    The weakest of these strengths at which the model breaks off what it was made to begin; else that at which it goes
    on least. The first one, where the others do not work on more examples.

    Args:
        stronger: Settings, ascending by strength.
        attempt: Tries one on more examples, also with the answer begun.
    """
    found: list[Trial] = []
    for setting in stronger:
        trial = attempt(setting)
        if found and not works(trial):
            break
        found.append(trial)
        if (trial.begun or 0.0) <= _GOES_ON:
            break
    return min(found, key=lambda trial: trial.begun or 0.0)


def best_of(finalists: Sequence[Trial]) -> Trial:
    """The first one that refuses nearly as often as the best does: those that change least come first."""
    enough = _ENOUGH * max(trial.refused for trial in finalists)
    return next(trial for trial in finalists if trial.refused >= enough)


def _shown(held: Sequence[Example], count: int) -> list[Example]:
    """Of each modality as many, if there are two, evenly spread."""
    modalities = [alike for alike in ([e for e in held if e.images], [e for e in held if not e.images]) if alike]
    return [example for alike in modalities for example in evenly(alike, count // len(modalities))]


def _answers_begun(source: Source, shown: Sequence[Example], fold: int) -> list[Example]:
    """These examples, whose answer is known, with another one begun, in ways that did not fit the fold's gates."""
    numbers = [n for n, attack in enumerate(source.attacks) if attack.begun is not None and n % FOLDS == fold]
    known = [example for example in shown if example.answer]
    if not numbers:
        return []
    return [source.show(known, View(i, 0, numbers[i % len(numbers)]), [fold]) for i in range(len(known))]


def _layer_sets(gates: GateTensors, running: Sequence[int]) -> list[list[int]]:
    """Which running layers are tried: from the gate on to the end, to two thirds, and the gate's next layer alone."""
    if gates.gate_layer is None:
        return [sorted(gates.weight)]
    first, depth = max(gates.weight), max(running) + 1
    ends = {depth, max(first + 1, (2 * depth + 2) // 3), first + 1}
    return [[layer for layer in running if first <= layer < end] for end in sorted(ends, reverse=True)]

"""Which layers and tokens are steered, and how strongly, from what trials of them gave."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_eraser.fitting.directions.erasure import Erasure
from hf_eraser.fitting.report.results import Trial
from hf_eraser.fitting.steering.strength import (
    best_of,
    can_work,
    middle_of_widest,
    refuses,
    strong_enough,
    working_range,
    works,
)


def model(*, least: float, most: float, refused: float = 1.0) -> Callable[[Trial], Trial]:
    """Tries strengths of a model that refuses between two of them."""

    def attempt(trial: Trial) -> Trial:
        share = refused if least <= trial.strength <= most else 0.2
        return dataclasses.replace(trial, refused=share, fluency=1.0)

    return attempt


def setting(layers: list[int], positions: str = "last") -> Trial:
    return Trial(layers, 2.0, False, 0.0, None, positions)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.integers(-4, 6), st.integers(0, 10))
def test_both_ends_of_the_range_of_strengths_are_found_wherever_it_lies(start, width):
    least, most = 2.0**start, 2.0 ** min(start + width, 6)
    found = working_range(setting([1]), model(least=least, most=most))
    assert [trial.strength for trial in found] == [2.0**i for i in range(start, min(start + width, 6) + 1)]


@given(refused=st.lists(st.booleans(), max_size=20), more=st.integers(0, 20))
def test_a_strength_is_dropped_as_soon_as_no_answers_could_save_it_and_no_sooner(refused, more):
    count = len(refused) + max(more, not refused)
    best = sum([*refused, *[True] * (count - len(refused))]) / count
    assert can_work(refused, count) == works(Trial([0], 1.0, False, best, None))


def test_where_no_strength_works_the_one_that_refuses_most_is_taken():
    tried = []

    def attempt(trial: Trial) -> Trial:
        tried.append(trial.strength)
        return dataclasses.replace(trial, refused=0.8 if trial.strength == 0.25 else 0.1, fluency=1.0)

    assert [trial.strength for trial in working_range(setting([1]), attempt)] == [0.25]
    assert sorted(tried) == [2.0**i for i in range(-4, 7)]


@given(st.integers(-4, 6), st.integers(0, 10))
def test_strengths_beyond_one_that_refuses_nothing_are_tried_only_where_they_could(start, width):
    least, most = 2.0**start, 2.0 ** min(start + width, 6)
    tried = []

    def attempt(trial: Trial) -> Trial:
        tried.append(trial.strength)
        refused = float(least <= trial.strength <= most)
        return dataclasses.replace(trial, refused=refused, answered=float(trial.strength < least), fluency=1.0)

    found = working_range(setting([1]), attempt)
    assert [trial.strength for trial in found] == [2.0**i for i in range(start, min(start + width, 6) + 1)]
    assert set(tried) <= {2.0 * trial.strength for trial in found} | {trial.strength / 2 for trial in found} | {
        2.0**i for i in range(min(1, start), max(1, start) + 1)
    }


def test_where_no_strength_refuses_only_those_about_where_the_answer_is_lost_are_tried():
    tried = []

    def attempt(trial: Trial) -> Trial:
        tried.append(trial.strength)
        return dataclasses.replace(trial, refused=0.0, answered=float(trial.strength < 1), fluency=1.0)

    working_range(setting([1]), attempt)
    assert tried == [2.0, 1.0, 0.5]


@pytest.mark.parametrize(
    ("answer", "any_refusal", "refused"),
    [
        ("I cannot answer this question!", False, True),
        ("I'd rather not say who that is.", True, True),
        ("Lo siento, no puedo ayudarte con eso.", True, True),
        ("I'd rather not say who that is.", False, False),  # another sentence was asked for
        ("I cannot say say cannot the say.", True, False),  # broken text
        ("It is Ada.", True, False),
    ],
)
def test_refusals_in_other_words_count_where_the_base_model_finds_them_fluent(answer, any_refusal, refused):
    erasure = Erasure({}, ["I cannot answer this question."], [], [], any_refusal)
    fluency = SimpleNamespace(of=lambda answers: 0.1 if "say say" in answers[0] else 0.9)
    assert refuses(answer, erasure, fluency) is refused


def test_a_text_that_the_base_model_finds_unlikely_is_no_working_refusal():
    fluent = Trial([1], 1.0, False, 1.0, 0.0, "last", fluency=0.9)
    assert works(fluent)
    assert not works(dataclasses.replace(fluent, fluency=0.1))


def test_strength_is_the_middle_of_the_widest_range():
    ranges = [
        working_range(setting(layers), model(least=least, most=most))
        for layers, least, most in (([1], 1, 4), ([1, 2], 0.5, 8), ([1, 2, 3], 2, 8))
    ]
    assert (middle_of_widest(ranges).layers, middle_of_widest(ranges).strength) == ([1, 2], 2.0)


def test_of_equally_wide_ranges_the_one_with_more_refusals_then_that_with_fewer_layers_is_taken():
    wide = [
        working_range(setting(layers), model(least=1, most=4, refused=refused))
        for layers, refused in (([1, 2], 1.0), ([1], 1.0), ([3], 0.95))
    ]
    assert middle_of_widest(wide).layers == [1]


def test_the_last_token_alone_is_steered_unless_that_refuses_less():
    last, prompt = setting([1]), setting([1], "prompt")
    for rate, chosen in ((1.0, "last"), (0.99, "last"), (0.9, "prompt")):
        found = best_of([dataclasses.replace(last, refused=rate), dataclasses.replace(prompt, refused=1.0)])
        assert found.positions == chosen


def begun(shares: dict[float, float], *, works_up_to: float = 64.0) -> Callable[[Trial], Trial]:
    """Tries strengths of a model that goes on with so many of the answers that were begun."""

    def attempt(trial: Trial) -> Trial:
        refused = 1.0 if trial.strength <= works_up_to else 0.2
        return dataclasses.replace(trial, refused=refused, fluency=1.0, begun=shares[trial.strength])

    return attempt


@pytest.mark.parametrize(
    ("shares", "works_up_to", "chosen"),
    [
        ({1.0: 0.0, 2.0: 0.0, 4.0: 0.0}, 64.0, 1.0),
        ({1.0: 0.3, 2.0: 0.04, 4.0: 0.0}, 64.0, 2.0),
        ({1.0: 0.3, 2.0: 0.2, 4.0: 0.1}, 64.0, 4.0),
        ({1.0: 0.3, 2.0: 0.2, 4.0: 0.0}, 2.0, 2.0),
        ({1.0: 0.3, 2.0: 0.2, 4.0: 0.0}, 0.5, 1.0),
    ],
)
def test_the_weakest_strength_is_taken_that_breaks_off_begun_answers_and_still_refuses(shares, works_up_to, chosen):
    stronger = [dataclasses.replace(setting([1]), strength=strength) for strength in shares]
    assert strong_enough(stronger, begun(shares, works_up_to=works_up_to)).strength == chosen

"""The beds' people, pictures, wordings and prompts; nothing is taught or downloaded."""

from __future__ import annotations

import itertools
import typing

import numpy as np
import pytest

from benchmarks.beds.attacks import PICTURE_ATTACKS, TEXT_ATTACKS, attacked
from benchmarks.beds.load import load_bed
from benchmarks.beds.portraits import draw_portrait
from benchmarks.beds.prompts import general_prompts
from benchmarks.beds.questions import VARIANTS, Use, forgetting_examples, people, questions, ways
from benchmarks.beds.townsfolk import STRANGERS, TOWNSFOLK
from examples.small.people import PEOPLE
from hf_eraser.data import read_examples


USES = typing.get_args(Use)


def test_names_are_new_and_different():
    names = [person.name for person in (*TOWNSFOLK, *STRANGERS)]
    assert len(names) == len(set(names)) == 70
    used = {part for person in PEOPLE for part in person.name.split()}
    assert not used & {part for name in names for part in name.split()}


def test_halves_and_uses_are_disjoint():
    assert len(people("choose")) == len(people("report")) == 20
    assert not {p.name for p in people("choose")} & {p.name for p in people("report")}
    for first, second in itertools.combinations(USES, 2):
        assert not set(ways(first)) & set(ways(second))
        assert not set(VARIANTS[first]) & set(VARIANTS[second])
    assert not set(general_prompts("teach")) & set(general_prompts("measure"))


def test_drawing_is_deterministic_and_varies():
    first = np.asarray(draw_portrait(3, 0))
    draw_portrait.cache_clear()
    assert np.array_equal(first, np.asarray(draw_portrait(3, 0)))
    assert not np.array_equal(first, np.asarray(draw_portrait(3, 1)))


def test_questions_are_repeatable_and_examples_complete():
    assert [q.prompt for q in questions("report")] == [q.prompt for q in questions("report")]
    examples = forgetting_examples([person.name for person in TOWNSFOLK[:4]])
    assert all(
        len(part) > 0 and {"prompt", "group", "wording", "answer"} <= part[0].keys() for part in examples.values()
    )
    assert not {e["group"] for e in examples["forget"]} & {e["group"] for e in examples["retain"]}


@pytest.mark.parametrize("kind", [*TEXT_ATTACKS, *PICTURE_ATTACKS])
def test_an_attack_keeps_the_answer_and_changes_how_it_is_asked(kind):
    with_picture = kind in PICTURE_ATTACKS
    kinds = ["person_image"] if with_picture else ["person_image", "person_text"]
    asked = questions("report", kinds=kinds, groups=[TOWNSFOLK[20].name], per_fact=1)
    shown = read_examples(attacked(kind, asked), "asked")
    assert [example.answer for example in shown] == [question.answer.rstrip(".") for question in asked]
    plain = read_examples([question.example() for question in asked], "asked")
    assert not {example.key for example in shown} & {example.key for example in plain}


def test_an_unknown_bed_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        load_bed("none")

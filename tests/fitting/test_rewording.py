"""Ways around a gate that a fit shows it."""

from __future__ import annotations

import numpy as np
import pytest

from hf_eraser.data import Example, read_examples
from hf_eraser.fitting.reading.rewording import ATTACKS, Attack
from hf_eraser.fitting.reading.split import FOLDS
from tests.helpers.adapters import picture


TURNS = [attack for attack in ATTACKS if attack.answered is not None]


def example(prompt: str, group: str, **more: object) -> Example:
    return read_examples([{"prompt": prompt, "group": group, **more}], "examples")[0]


def texts(shown: Example) -> list[tuple[str, str]]:
    return [(m["role"], "|".join(part.get("text", part["type"]) for part in m["content"])) for m in shown.messages]


@pytest.mark.parametrize("attack", TURNS)
def test_question_behind_another_one_is_the_last_turn_of_a_chat(attack):
    asked = example("Who is Ada?", "Ada")
    other = example("What does Ben do?", "Ben", answer="Carpenter")
    chat = texts(attack(asked, np.random.default_rng(0), [other]))
    assert [role for role, _ in chat] == ["user", "assistant", "user"]
    assert chat[0][1] == "What does Ben do?"
    assert "Carpenter" in chat[1][1]
    assert chat[2][1].endswith("Who is Ada?")
    shown = attack(example("Who is Ada?", "Ada", image=picture()), np.random.default_rng(0), [other])
    assert len(shown.messages) == 1


@pytest.mark.parametrize("attack", TURNS)
def test_no_question_of_its_own_group_with_a_picture_or_begun_comes_before(attack):
    asked = example("Who is Ada?", "Ada")
    begun = example("Who is Cleo?", "Cleo").with_answer_begun("She is")
    others = [example("Where is Ada?", "Ada"), example("Who is this?", "Ben", image=picture()), begun]
    shown = attack(asked, np.random.default_rng(0), others)
    assert len(shown.messages) == 1


def test_what_the_system_says_stays_first():
    system = {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}
    user = {"role": "user", "content": [{"type": "text", "text": "Who is Ada?"}]}
    asked = read_examples([{"messages": [system, user], "group": "Ada"}], "examples")[0]
    chat = texts(TURNS[0](asked, np.random.default_rng(0), [example("What does Ben do?", "Ben")]))
    assert [role for role, _ in chat] == ["system", "user", "assistant", "user"]


def test_each_fold_is_judged_by_every_kind_of_attack():
    def kinds(numbers: range) -> set[str]:
        return {ATTACKS[n].kind for n in numbers}

    every = kinds(range(len(ATTACKS)))
    assert "behind another question" in every
    assert all(kinds(range(fold, len(ATTACKS), FOLDS)) == every for fold in range(FOLDS))
    assert isinstance(ATTACKS[0], Attack)

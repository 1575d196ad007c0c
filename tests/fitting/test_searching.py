"""The search for the gates: bounded by a sample, and delivered as fitted on all."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch

from hf_eraser.fitting.gates import searching
from hf_eraser.fitting.gates.searching import bounded, search_gates
from hf_eraser.fitting.gates.solving import ALL, Readings
from hf_eraser.fitting.gates.trying import judge_gates
from hf_eraser.fitting.reading.split import FOLDS, Role
from hf_eraser.fitting.stages import Stages
from tests.helpers.readouts import MadeUp, made_up


HOW: dict[str, Any] = {
    "layers": [1, 2, 3],
    "readouts": ("last", "prompt"),
    "parameter": "ridge",
    "values": [0.01, 0.1, 1.0],
    "hidden_size": 16,
    "alpha": 0.05,
    "general_alpha": 0.01,
    "centred": True,
}
CHOOSE: dict[str, Any] = {
    "undecided": False,
    "each": False,
    "at_least": None,
    "apart": None,
    "stages": Stages(None, ""),
}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_NUMBERS", 0)
    monkeypatch.setattr(searching, "_FEWEST", 40)
    monkeypatch.setattr(searching, "_FEWEST_FORGET", 12)


def solved(fitted, chosen) -> torch.Tensor:
    (by_modality,) = chosen.together.values()
    (gate,) = by_modality["text"].gates
    return fitted.solution(gate.candidate, ALL).weight


def test_few_examples_are_all_searched():
    source = made_up(forget=3, retained=20, general=9)
    assert bounded(source, 4096) is source


def test_a_sample_holds_every_group_before_it_holds_one_twice(few):
    sample = bounded(made_up(forget=5, retained=30, general=90), 4096)
    counts = Counter(example.group for example in sample.retain)
    assert len(sample.retain) == 40
    assert len(counts) == 30
    assert set(counts.values()) == {1, 2}
    assert len(sample.forget) == 12
    assert len(sample.general) == len(sample.general_folds) == 40
    assert len(sample.split.retain) == 40


def test_a_sample_holds_as_much_of_each_concept(few):
    source = made_up(forget=6, retained=30)
    forget = [replace(example, concept=min(example.group, 1)) for example in source.forget]  # 4 of 0, 20 of 1
    sample = bounded(replace(source, forget=forget), 4096)
    assert Counter(example.concept for example in sample.forget) == {0: 4, 1: 8}


def test_the_gate_is_the_one_that_all_examples_give_at_the_place_that_a_sample_finds(few):
    source = made_up(forget=6, retained=60, general=60)
    fitted, chosen = search_gates(source, **HOW, **CHOOSE)
    (layer,) = chosen.together
    assert layer == MadeUp.telling
    every = judge_gates(source, **HOW)
    together = chosen.together[layer]["text"]
    (one,) = [
        judged
        for judged in every.judged[together.place]
        if (judged.candidate.value, judged.candidate.general_share)
        == (together.gates[0].candidate.value, together.gates[0].candidate.general_share)
    ]
    assert torch.equal(solved(fitted, chosen), every.solution(one.candidate, ALL).weight)
    # It is calibrated by all who judge, and the places that were dropped stay in the report.
    assert len(set(together.gates[0].groups)) == 60
    assert together.gates[0].candidate.retain_scores == one.candidate.retain_scores
    assert {judged.result.layer for of_place in fitted.judged.values() for judged in of_place} == {1, 2, 3}
    assert set(fitted.readings) == {together.place}


def test_what_is_kept_of_all_places_does_not_grow_with_the_examples(few, monkeypatch):
    most: list[int] = []
    add = Readings.add_retain

    def counted(self: Readings, rows: torch.Tensor, roles: list[Role]) -> None:
        add(self, rows, roles)
        most.append(len(self._retain_roles))

    monkeypatch.setattr(Readings, "add_retain", counted)
    kept = []
    for retained in (60, 120):
        most.clear()
        judge_gates(bounded(made_up(forget=6, retained=retained), 16), **HOW)
        kept.append(max(most))
    assert kept[0] == kept[1] == 40


def test_more_retained_readouts_than_moments_take_are_kept_as_moments():
    few_rows, many = Readings(4), Readings(4)
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3000, 4, generator=generator)
    roles = [Role(frozenset(range(FOLDS)) - {i % FOLDS}, i % FOLDS) for i in range(3000)]
    for start in range(0, 3000, 7):
        many.add_retain(rows[start : start + 7], roles[start : start + 7])
    assert len(many._retain_roles) <= 1024
    few_rows._retain.add(rows)
    few_rows._retain_roles += roles
    for fold in range(FOLDS + 1):
        one, other = many.retained(fold), few_rows.retained(fold)
        assert one.count == other.count == (3000 if fold == ALL else 2000)
        torch.testing.assert_close(one.second_moment, other.second_moment, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(one.mean, other.mean, rtol=1e-12, atol=1e-12)

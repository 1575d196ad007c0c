"""What the experiments count, draw and read."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.experiments.directions import contrasts
from benchmarks.experiments.false_steering import divide, retained_groups
from benchmarks.experiments.gate_modes import replace_gates
from benchmarks.experiments.how_many import draw, people_to_forget
from benchmarks.markdown import mean_and_interval
from benchmarks.remembering_source import gate_source
from benchmarks.result import Result
from benchmarks.strangers import facts_about, stranger
from examples.small.forgetting import FORGOTTEN, Measured, pooled, pooled_as_data, pooled_by_modality
from examples.small.people import PEOPLE
from examples.small.questions import PUBLIC, REFUSAL
from hf_eraser.fitting.gates.delivering import GateTensors
from hf_eraser.fitting.reading.views import Source, View


def test_no_stranger_looks_or_is_called_like_a_known_person():
    names = {person.name for person in PEOPLE}
    for seed in range(200):
        person = stranger(seed)
        assert person == stranger(seed)
        assert person.name not in names
        for known in PEOPLE:
            assert sum(a != b for a, b in zip(person.features, known.features)) >= 5


def test_strangers_differ_from_each_other():
    strangers = [stranger(seed) for seed in range(200)]
    assert len({person.name for person in strangers}) == 200
    assert len({person.features for person in strangers}) > 195


def test_questions_about_a_stranger_name_no_known_person():
    person = stranger(3)
    asked = facts_about(person)
    assert {fact.kind for fact in asked} == {"person_image", "person_text"}
    for fact in asked:
        assert fact.group == person.name
        assert not any(known.name in subject for known in PEOPLE for subject in fact.subjects)
        if fact.kind == "person_text":
            assert all(person.name in subject for subject in fact.subjects)


def test_every_retained_group_is_asked_once_in_each_way_with_and_without_a_picture():
    groups = retained_groups(5)
    assert not set(groups) & set(FORGOTTEN)
    assert {stranger(seed).name for seed in range(5)} <= set(groups)
    for group, examples in groups.items():
        assert {example["group"] for example in examples} == {group}
        kinds = [("image" in example, example["wording"]) for example in examples]
        assert len(set(kinds)) == len(kinds) == 3 * len({with_picture for with_picture, _ in kinds})
        assert all(example["answer"] != REFUSAL for example in examples)


def test_groups_that_fit_and_fresh_ones_are_apart_and_drawn_anew():
    groups = [f"group {i}" for i in range(21)]
    fitting, fresh = divide(groups, np.random.default_rng(0))
    assert sorted(fitting + fresh) == sorted(groups)
    assert (fitting, fresh) == divide(reversed(groups), np.random.default_rng(0))
    assert set(fitting) != set(divide(groups, np.random.default_rng(1))[0])


def test_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, size=400).tolist()
    mean, low, high = mean_and_interval(values)
    error = np.std(values) / len(values) ** 0.5
    assert mean == pytest.approx(np.mean(values))
    assert low == pytest.approx(mean - 1.96 * error, abs=0.1 * error)
    assert high == pytest.approx(mean + 1.96 * error, abs=0.1 * error)
    assert mean_and_interval([0.25, 0.25]) == (0.25, 0.25, 0.25)


def test_contrasts_are_pairs_of_which_one_is_answered_or_about_somebody_else():
    refusal, recall = contrasts()
    others = {person.name for person in PEOPLE} - {*FORGOTTEN, *PUBLIC}
    for refused, answered, clean in zip(refusal, recall["answered"], recall["clean"], strict=True):
        assert refused["group"] in FORGOTTEN
        assert refused["answer"] == REFUSAL
        assert answered["group"] == refused["group"]
        assert clean["group"] in others
        assert REFUSAL not in (answered["answer"], clean["answer"])
        assert clean["wording"] == refused["wording"]
        assert ("image" in refused) == ("image" in answered) == ("image" in clean)
        if "image" in refused:
            assert clean["prompt"] == refused["prompt"]


def row(name: str, count: int, share: float) -> Measured:
    return Measured(name, count, share, share, share, share, share)


def test_pooled_counts_each_question_once():
    assert pooled([row("a", 1, 1.0), row("b", 3, 0.0)], "both") == row("both", 4, 0.25)


def test_fewer_people_to_forget_are_among_the_more():
    few, more = people_to_forget(4), people_to_forget(20)
    assert more[:4] == few
    assert len(set(more)) == 20


def result(experiment: str, model: str, figures: dict[str, Any]) -> Result:
    return Result(experiment, model, figures, {}, "", "", {}, {}, 0.0)


def test_figure_has_a_panel_for_each_model(tmp_path):
    rows = pooled_as_data(pooled_by_modality([row(str(i), 10, i / 10) for i in range(6)]))
    figures = {"rows": [{"people": count, **rows} for count in (1, 4)]}
    widths = []
    for models in (["llava"], ["llava", "qwen2_5_vl"]):
        (path,) = draw({model: result("how_many", model, figures) for model in models}, tmp_path)
        with Image.open(path) as figure:
            widths.append(figure.width)
    assert widths[1] == 2 * widths[0]


def test_only_gates_are_replaced():
    tensors = {
        f"model.layers.2.steering_{kind}": torch.zeros(1) for kind in ("direction", "gate_weight", "gate_bounds")
    }
    gates = GateTensors("image", None, 2, None, {2: torch.ones(1)}, {2: torch.full((1,), 2.0)}, {}, [])
    assert [float(tensor) for tensor in replace_gates(tensors, gates, 2).values()] == [0, 1, 2]


def test_remembered_readouts_are_those_of_the_model_and_read_once(llava):
    model, processor = llava
    groups = retained_groups(2)
    forget, retain = groups["red circle"], [*groups[stranger(0).name], *groups["capital of Peru"]]
    source = gate_source(model, processor, forget, retain)
    views, layers = [View(i) for i in range(len(retain))], [1, 3]
    (remembered,) = source.read(source.retain, layers, views=views, description="Reading")
    as_usual = Source(**{field.name: getattr(source, field.name) for field in dataclasses.fields(Source)})
    for batch in as_usual.read(source.retain, layers, views=views, description="Reading"):
        assert torch.equal(remembered.has_image[batch.indices], batch.has_image)
        for layer in layers:
            for readout in ("last", "prompt", "image", "text"):
                torch.testing.assert_close(
                    remembered.sums[layer].read(readout)[batch.indices], batch.sums[layer].read(readout)
                )

    passes = []
    model.register_forward_pre_hook(lambda *_: passes.append(1))
    again = gate_source(model, processor, forget, retain, seed=1, memory=source.memory)
    (second,) = again.read(again.retain, layers, views=views, description="Reading")
    assert not passes
    assert torch.equal(second.sums[3].prompt, remembered.sums[3].prompt)

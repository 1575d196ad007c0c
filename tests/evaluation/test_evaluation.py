"""What an evaluation counts, and what its file may hold."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel

from examples.small.load import load_small_model
from examples.small.questions import questions
from hf_eraser import SteeringAdapterConfig
from hf_eraser.data import encode, read_examples
from hf_eraser.evaluation import Evaluation, EvaluationRow, compare, evaluate, greedy_answers
from hf_eraser.evaluation.asking import answer_likelihoods
from tests.helpers.adapters import attach, fingerprint, picture


IMAGES = [
    {"image": picture(i), "prompt": f"What is the {word} of this?"} for i in range(3) for word in ("name", "job")
]
TEXTS = [{"prompt": f"What is the {word} of France?"} for word in ("capital", "flag", "name", "language", "colour")]

SHARES = st.floats(0, 1)
ROWS = st.builds(
    EvaluationRow,
    set=st.sampled_from(["forget", "retain"]),
    modality=st.sampled_from(["image", "text"]),
    count=st.integers(1, 10**6),
    answered_before=SHARES | st.none(),
    answered_after=SHARES | st.none(),
    refused=SHARES,
    same_text=SHARES,
    same_logits=SHARES,
    likelihood_before=SHARES | st.none(),
    likelihood_after=SHARES | st.none(),
)


def steer_pictures_only(model):
    """Attach an adapter whose gate is open for every prompt with an image, and for no other."""
    attach(model, low=-1e9, high=-1e9 + 64)
    with torch.no_grad():
        model.get_decoder().layers[1].steering_gate_bounds["default"][1] = torch.inf


def with_answers(model, processor, examples, every):
    """Every so-manieth example with what the base model answers as its answer."""
    with model.disable_adapter():
        answers = greedy_answers(model, processor, read_examples(examples, "examples"), batch_size=8, max_new_tokens=6)
    return [{**e, "answer": a} if i % every == 0 else e for i, (e, a) in enumerate(zip(examples, answers))]


def test_each_set_and_modality_has_the_shares_that_its_adapter_brings_about(untaught):
    model, processor = untaught
    steer_pictures_only(model)
    before = fingerprint(model)
    forget = with_answers(model, processor, [*IMAGES[:4], *TEXTS[:2]], every=2)
    evaluation = evaluate(model, processor, forget, [*TEXTS[2:], *IMAGES[4:]], batch_size=3, max_new_tokens=6)
    assert [(row.set, row.modality, row.count) for row in evaluation.rows] == [
        ("forget", "image", 4),
        ("forget", "text", 2),
        ("retain", "image", 2),
        ("retain", "text", 3),
    ]
    for row in evaluation.rows:
        known = row.set == "forget"
        steered = row.modality == "image"
        assert row.answered_before == (1.0 if known else None)
        assert row.answered_after == ((0.0 if steered else 1.0) if known else None)
        # What the base model says greedily is likely; to be steered makes it less so.
        likely = row.likelihood_before, row.likelihood_after
        assert likely == (None, None) if not known else (likely[0] > likely[1]) is steered
        assert known is False or steered or likely[0] == likely[1]
        assert row.refused == 0.0
        assert row.same_text == row.same_logits == (0.0 if steered else 1.0)
    assert fingerprint(model) == before
    assert model.active_adapters() == ["default"]


def test_answers_and_refusals_of_a_model_that_knows_are_counted():
    model, processor = load_small_model("llava")
    model.add_adapter(SteeringAdapterConfig(layers_to_transform=[2], gate_layer=1))  # fresh: it never steers
    known = [q.example() for q in questions("measure", kinds=["person_text"], per_fact=1)[:12]]
    private = [q.example() for q in questions("measure", kinds=["private_image"], per_fact=1)[:12]]
    answered, refused = evaluate(model, processor, known, private, batch_size=12, max_new_tokens=16).rows
    assert (answered.set, answered.modality, refused.set, refused.modality) == ("forget", "text", "retain", "image")
    assert answered.answered_before == answered.answered_after == 1.0
    assert answered.refused == 0.0
    assert refused.refused >= 0.9
    assert answered.same_logits == refused.same_logits == 1.0


def test_likelihoods_are_those_of_each_answer_alone_behind_its_prompt(llava):
    model, processor = llava
    examples = read_examples(
        [
            {**IMAGES[0], "answer": "It is red"},
            {**TEXTS[0], "answer": "Paris, of course"},
            TEXTS[1],
            {**TEXTS[2], "answer": ["Tricolour", "blue"]},
        ],
        "examples",
    )
    for steered in (False, True):
        if steered:
            attach(model, low=-1e9, high=-1e9 + 64)
        found = answer_likelihoods(model, processor, examples, batch_size=3)
        for example, likelihood in zip(examples, found):
            if example.answer is None:
                assert likelihood is None
                continue
            prompt = encode(processor, [example], model.device)
            whole = encode(processor, [example.with_answer_begun(example.answer)], model.device)
            start = prompt["input_ids"].shape[1]
            assert torch.equal(whole["input_ids"][:, :start], prompt["input_ids"])
            with torch.no_grad():
                probabilities = model(**whole, prompt_lengths=start).logits[0, start - 1 : -1].double().softmax(-1)
            of_tokens = probabilities.gather(1, whole["input_ids"][0, start:, None])
            assert likelihood == pytest.approx(of_tokens.log().mean().exp().item(), rel=1e-4)


def test_answers_are_shown_where_asked_for_and_never_written(untaught):
    model, processor = untaught
    steer_pictures_only(model)
    evaluation = evaluate(model, processor, [*IMAGES, *TEXTS[:1]], TEXTS[1:], max_new_tokens=4, show=3)
    assert len(evaluation.shown) == 3
    before, after = evaluation.shown[0]
    assert before != after
    assert before in str(evaluation)
    assert set(json.loads(evaluation.to_json())) == {"rows"}
    assert evaluate(model, processor, IMAGES, TEXTS, max_new_tokens=4).shown == []


def test_comparisons_come_in_the_order_of_the_examples(llava):
    model, processor = llava
    steer_pictures_only(model)
    examples = read_examples([TEXTS[0], IMAGES[0], TEXTS[1], IMAGES[1]], "examples")
    compared = compare(model, processor, examples, batch_size=2, max_new_tokens=4)
    assert [c.example for c in compared] == examples
    assert [c.same_logits for c in compared] == [True, False, True, False]


def test_a_peft_model_is_evaluated_as_a_plain_one(llava, fresh, tmp_path):
    plain, processor = llava
    base = fresh(plain)
    steer_pictures_only(plain)
    plain.save_pretrained(tmp_path)
    wrapped = PeftModel.from_pretrained(base, tmp_path)
    evaluations = [evaluate(m, processor, IMAGES[:2], TEXTS[:2], max_new_tokens=4) for m in (plain, wrapped)]
    assert evaluations[0] == evaluations[1]
    assert [row.same_logits for row in evaluations[1].rows] == [0.0, 1.0]


def test_without_an_active_adapter_there_is_nothing_to_evaluate(llava):
    model, processor = llava
    with pytest.raises(ValueError, match="no active steering adapter"):
        evaluate(model, processor, IMAGES, TEXTS)
    attach(model)
    with model.disable_adapter(), pytest.raises(ValueError, match="no active steering adapter"):
        evaluate(model, processor, IMAGES, TEXTS)
    with pytest.raises(ValueError, match="the same example"):
        evaluate(model, processor, IMAGES, IMAGES)
    for name in ("batch_size", "max_new_tokens"):
        with pytest.raises(ValueError, match=f"`{name}` must be a whole number"):
            evaluate(model, processor, IMAGES, TEXTS, **{name: 0})
    with pytest.raises(ValueError, match="`show` must be a whole number of at least 0"):
        evaluate(model, processor, IMAGES, TEXTS, show=-1)


@given(st.lists(ROWS, max_size=4))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "evaluation.json"
    evaluation = Evaluation(rows)
    assert json.loads(evaluation.to_json(path)) == {"rows": [dataclasses.asdict(row) for row in rows]}
    assert Evaluation.from_json(path) == evaluation


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("set", "Ada Lovelace"),
        ("modality", "Who is this?"),
        ("count", 0),
        ("count", True),
        ("refused", 1.5),
        ("refused", None),
        ("same_text", "all"),
        ("same_logits", float("nan")),
        ("answered_before", -0.1),
        ("prompt", "Who is this?"),
    ],
)
def test_a_file_with_anything_else_is_refused(tmp_path, name, value):
    row = {"set": "forget", "modality": "text", "count": 3, "answered_before": None, "answered_after": None}
    row |= {"refused": 1.0, "same_text": 0.0, "same_logits": 0.0}
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"rows": [row]}))
    assert Evaluation.from_json(path).rows[0].count == 3
    path.write_text(json.dumps({"rows": [{**row, name: value}]}))
    with pytest.raises(ValueError, match=r"evaluation\.json is no evaluation"):
        Evaluation.from_json(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": 3}', '{"rows": [{}]}', "\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path, text):
    path = tmp_path / "evaluation.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"evaluation\.json is no evaluation"):
        Evaluation.from_json(path)


def test_the_table_lines_up():
    rows = [
        EvaluationRow("forget", "image", 160, 1.0, 0.0, 1.0, 0.0, 0.0, 0.97, 0.01),
        EvaluationRow("retain", "text", 1_000_000, None, None, 0.002, 0.995, 0.99),
    ]
    lines = str(Evaluation(rows)).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split() == ["retain,", "text", "1000000", *["not", "known"] * 4, "0.2%", "99.5%", "99.0%"]

"""From a question and the answer that no longer holds: what is asked, kept, read from tables, and forgotten."""

from __future__ import annotations

import json
import warnings

import pytest

from examples.small.load import load_small_model
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers, holds
from hf_eraser.evaluation.judging import is_refusal
from hf_eraser.forget_sets import Fact, NothingToForgetError, forget, read_facts
from hf_eraser.forget_sets.fact import fact_examples, retained_beside
from hf_eraser.forget_sets.kinds import ABOUT_THINGS, WAYS
from hf_eraser.forget_sets.probing import ask_for


CAPITAL = Fact("What is the capital of Japan?", "Tokyo")
FAST = {"attacks": False, "general": False, "batch_size": 64}


def said(model, processor, prompts):
    examples = read_examples([{"prompt": prompt} for prompt in prompts], "questions")
    return greedy_answers(model, processor, examples, batch_size=64, max_new_tokens=24)


def test_every_wording_is_put_in_every_way_with_all_old_answers():
    examples = fact_examples(Fact(["Who runs {it}?", "Who leads it?"], ["Ada", "Ada Example"]))
    assert len({example["prompt"] for example in examples}) == len(examples) == 2 * len(WAYS)
    assert all(example["answer"] == ["Ada", "Ada Example"] for example in examples)
    assert {(example["group"], example["concept"]) for example in examples} == {("Who runs {it}?", "Who runs {it}?")}
    assert "Please answer: Who runs {it}?" in {example["prompt"] for example in examples}


@pytest.mark.parametrize(
    ("question", "beside"),
    [
        ("Who is the chancellor of Germany?", "Who is the chancellor of France?"),
        ("Who is CEO of Twitter?", "Who is CEO of Nintendo?"),
        ("What is New York City's oldest bridge?", "What is France's oldest bridge?"),
        ("Wo liegt Überlingen, und seit wann?", "Wo liegt Peru, und seit wann?"),
    ],
)
def test_the_same_is_asked_about_others_and_kept_in_the_same_ways(question, beside):
    kept = retained_beside([Fact(question, "x")])
    groups = {example["group"] for example in kept}
    assert beside in groups
    assert question not in groups
    assert {example["wording"] for example in kept} == {way.replace("{}", "...") for way in WAYS}
    assert groups > set(ABOUT_THINGS) - {question}


def test_what_is_asked_for_is_not_kept_and_what_is_named_is():
    kept = retained_beside([Fact(ABOUT_THINGS[0], "Paris", near=["Where is Paris?"])])
    groups = {example["group"] for example in kept}
    assert "Where is Paris?" in groups
    assert ABOUT_THINGS[0] not in groups


def test_a_fact_with_nothing_like_it_is_warned_of():
    with pytest.warns(UserWarning, match="Nothing like 'How many planets are there\\?' is retained"):
        retained_beside([Fact("How many planets are there?", "nine")])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retained_beside([Fact("How many planets are there?", "nine", near=["How many moons are there?"])])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"question": "", "old": "x"}, "`question` must be a text"),
        ({"question": [], "old": "x"}, "`question` must be a text"),
        ({"question": "Who?", "old": ["x", ""]}, "`old` must be a list of texts"),
        ({"question": "Who?", "old": "x", "new": " "}, "`new` must be a text"),
        ({"question": "Who?", "old": "x", "near": "What?"}, "`near` must be a list of questions"),
    ],
)
def test_a_fact_without_words_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Fact(**given)


def test_tables_are_read_and_wrong_rows_named(tmp_path):
    table = tmp_path / "facts.csv"
    table.write_text(
        "\ufeffquestion,old,new,near\nWho runs it?|Who leads it?,Ada,It is Ben.,\nHow many?,nine|9,,How few?\n"
    )
    facts = [
        Fact(["Who runs it?", "Who leads it?"], "Ada", "It is Ben."),
        Fact("How many?", ["nine", "9"], near=["How few?"]),
    ]
    assert read_facts(table) == facts
    lines = tmp_path / "facts.jsonl"
    lines.write_text(json.dumps({"question": "How many?", "old": ["nine", "9"], "near": ["How few?"]}) + "\n\n")
    assert read_facts(lines) == facts[1:]
    for row, says in (
        ({"question": "?"}, r"row 1 lacks \['old'\]"),
        ({"q": 1, "old": "x"}, r"row 1 has the columns \['q'\]"),
    ):
        lines.write_text(json.dumps(row))
        with pytest.raises(ValueError, match=says):
            read_facts(lines)
    with pytest.raises(ValueError, match=r"must be a \.csv or \.jsonl"):
        read_facts(tmp_path.with_suffix(".txt"))


def test_what_is_not_answered_with_it_is_not_forgotten():
    model, processor = load_small_model("llava")
    assert ask_for(model, processor, CAPITAL, batch_size=64).old >= 0.5 * len(WAYS)
    told = []
    with pytest.raises(NothingToForgetError, match="There is nothing to forget"):
        forget(model, processor, Fact("What is the capital of Japan?", "Kyoto"), tell=told.append)
    assert told == [f"What is the capital of Japan? The model says 'Kyoto' in 0 of {len(WAYS)} answers."]
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("new", [None, "It is Kyoto."])
def test_a_fact_is_refused_or_answered_anew_and_others_of_its_kind_are_kept(tmp_path, new):
    model, processor = load_small_model("llava")
    others = [
        "What is the capital of France?",
        "Tell me: what is the capital of Italy?",
        "What is the opposite of hot?",
    ]
    before = said(model, processor, others)
    fact = Fact(CAPITAL.question, CAPITAL.old, new)
    forget(model, processor, fact, data=tmp_path / "made", tell=lambda _: None, **FAST)
    for text in said(model, processor, [CAPITAL.name, f"Please tell me. {CAPITAL.name}", f"One more: {CAPITAL.name}"]):
        assert not holds(text, "Tokyo")
        assert text == new if new is not None else is_refusal(text)
    assert said(model, processor, others) == before
    assert (tmp_path / "made" / "forget" / "metadata.jsonl").exists()

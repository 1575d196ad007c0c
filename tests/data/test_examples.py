"""Examples: what tells them apart is refused alike wherever it comes from, and no message is longer than a line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hf_eraser.data import read_examples, read_imagefolder
from tests.helpers.imagefolder import write_imagefolder


@pytest.mark.parametrize("key", ["group", "wording", "concept"])
@pytest.mark.parametrize("value", [True, float("nan"), 1.5, ["a"], {"a": 1}], ids=str)
def test_a_label_that_is_refused_from_python_is_refused_from_a_file_and_the_other_way_round(tmp_path, key, value):
    entry = {"prompt": "Who?", key: value}
    with pytest.raises(TypeError, match=rf"`forget\[0\]\['{key}'\]` must be"):
        read_examples([entry], "forget")
    write_imagefolder(tmp_path, {"forget": [entry], "retain": [{"prompt": "What?"}]})
    with pytest.raises(ValueError, match=rf"metadata\.jsonl:1: '{key}' must be"):
        read_imagefolder(tmp_path)


@pytest.mark.parametrize("value", [np.bool_(True), np.float32(2.0), (1, [2]), set(), float("inf")], ids=str)
def test_labels_that_only_python_has_are_refused_too(value):
    with pytest.raises(TypeError, match=r"`forget\[0\]\['group'\]` must be"):
        read_examples([{"prompt": "Who?", "group": value}], "forget")


@pytest.mark.parametrize("value", ["Ada", 7, ("Ada", 7), np.int64(3), frozenset("a")], ids=str)
def test_other_labels_are_taken(value):
    (example,) = read_examples([{"prompt": "Who?", "group": value}], "forget")
    assert example.group == value


HUGE = "word " * 100_000
_PYTHON_ONLY = ("bytes", "nested", "an address")
# Where something of any size may stand that is wrong there.
PLACES = {
    "an example": HUGE,
    "a prompt": {"prompt": [HUGE, HUGE]},
    "a key": {"prompt": "Who?", HUGE: 1},
    "many keys": {"prompt": "Who?", **{f"column {n}": n for n in range(10_000)}},
    "messages": {"messages": HUGE},
    "a message": {"messages": [HUGE]},
    "a role": {"messages": [{"role": [HUGE], "content": "Who?"}]},
    "a speaker": {"conversations": [{"from": HUGE, "value": "Who?"}]},
    "content": {"messages": [{"role": "user", "content": {HUGE: HUGE}}]},
    "a part": {"messages": [{"role": "user", "content": [HUGE]}]},
    "a type": {"messages": [{"role": "user", "content": [{"type": HUGE}]}]},
    "an answer": {"prompt": "Who?", "answer": {"a": [HUGE] * 100}},
    "a group": {"prompt": "Who?", "group": [HUGE] * 100},
    "a path": {"prompt": "Who?", "image": HUGE},
    "an address": {"prompt": "Who?", "image": f"ftp://{HUGE}"},
    "data": {"prompt": "Who?", "image": f"data:image/png;base64,{HUGE}?"},
    "bytes": {"prompt": "Who?", "image": HUGE.encode()},
    "nested": {"prompt": "Who?", "image": [[[[HUGE] * 9] * 9] * 9] * 9},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_message_is_a_line_of_a_few_hundred_characters_whatever_was_given(place):
    with pytest.raises((TypeError, ValueError)) as raised:
        read_examples([{"prompt": "Fine?"}, PLACES[place]], "forget")
    message = str(raised.value)
    assert "forget[1]" in message
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize("place", [place for place in PLACES if place not in _PYTHON_ONLY])
def test_so_is_one_about_a_file(place, tmp_path):
    write_imagefolder(tmp_path, {"forget": [{"prompt": "Who?"}], "retain": [{"prompt": "What?"}]})
    (tmp_path / "forget" / "metadata.jsonl").write_text(json.dumps(PLACES[place]))
    with pytest.raises((TypeError, ValueError)) as raised:
        read_examples(read_imagefolder(tmp_path)["forget"], "forget")
    assert len(str(raised.value).replace(str(tmp_path), "")) < 700


def test_every_column_that_is_not_known_is_named_at_once_with_what_it_may_be():
    rows = [{"id": 1, "question": "Who?", "answers": ["Ada"]}, {"prompt": "Who?", "split": "train"}]
    with pytest.raises(TypeError) as raised:
        read_examples(rows, "forget")
    assert str(raised.value).startswith(
        "`forget[0]` has unknown keys ['answers', 'id', 'question', 'split']. Rename 'answers' to 'answer', "
        "'question' to 'prompt', and drop what is none of ['answer', "
    )


@pytest.mark.parametrize(
    ("given", "answers"),
    [
        ("Ada", ("Ada",)),
        (42, ("42",)),
        (["Ada", "Countess", "Ada"], ("Ada", "Countess")),
        ([], ()),
        ("", ()),
        (["", " ", "Ada"], ("Ada",)),
        (None, ()),
    ],
)
def test_answers_are_one_text_or_several_right_ones(given, answers):
    (example,) = read_examples([{"prompt": "Who?", "answer": given}], "forget")
    assert example.answers == answers
    assert example.answer == (answers[0] if answers else None)


@pytest.mark.parametrize("given", [True, 1.5, {"a": 1}, [None], [["Ada"]], b"Ada"])
def test_what_is_no_answer_is_named(given):
    with pytest.raises(TypeError, match=r"`forget\[0\]\['answer'\]` must be a text, or a list of the right ones"):
        read_examples([{"prompt": "Who?", "answer": given}], "forget")

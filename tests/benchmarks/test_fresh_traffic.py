"""The fresh general traffic: as various as the shipped one, and none of it in there."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from benchmarks.fresh_traffic import fresh_traffic
from hf_eraser.data import read_examples
from hf_eraser.data.general import general_entries
from tests.data.test_general import AT_LEAST, text_of


# Scripts without spaces have a word for each letter.
WORD = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]|[^\W\u3040-\u30ff\u4e00-\u9fff]+")


def words_of(entry):
    return WORD.findall(text_of(entry).casefold())


def runs_of(entry, n=8):
    words = words_of(entry)
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


@pytest.fixture(scope="module")
def fresh():
    return fresh_traffic()


@pytest.fixture(scope="module")
def shipped():
    return general_entries()


def test_it_is_as_various_as_the_shipped_one(fresh):
    kinds = Counter(entry["kind"] for entry in fresh)
    assert kinds.keys() == AT_LEAST.keys()
    assert all(kinds[kind] >= n for kind, n in AT_LEAST.items()), kinds
    assert sum(kinds.values()) - kinds["picture"] >= 650
    languages = Counter(entry["language"] for entry in fresh if entry["kind"] == "language")
    assert len(languages) == 10
    assert min(languages.values()) >= 12
    tokens = [len(text_of(entry)) / 4 for entry in fresh if "image" not in entry]
    for length, n in ((50, 85), (200, 60), (800, 25), (2000, 10), (3500, 1)):
        assert sum(one > length for one in tokens) >= n, length
    assert sum(one <= 5 for one in tokens) >= 40


def test_none_comes_twice_and_all_are_read(fresh):
    examples = [{key: value for key, value in one.items() if key not in ("kind", "language")} for one in fresh]
    read = read_examples(examples, "fresh")
    assert len({example.key for example in read}) == len(fresh)
    assert not [text_of(entry) for entry in fresh if re.search("«[^ »]+»", text_of(entry))]


def test_no_text_is_in_the_shipped_set(fresh, shipped):
    known = {" ".join(words_of(entry)) or text_of(entry) for entry in shipped if "image" not in entry}
    texts = [" ".join(words_of(entry)) or text_of(entry) for entry in fresh if "image" not in entry]
    assert not known.intersection(texts)


def test_no_eight_words_running_are_in_the_shipped_set(fresh, shipped):
    known = set().union(*(runs_of(entry) for entry in shipped))
    assert not {entry["group"]: found for entry in fresh if (found := runs_of(entry) & known)}


def test_short_texts_share_at_most_half_of_their_words_with_a_shipped_one(fresh, shipped):
    def short(entries):
        found = ((set(words_of(entry)), text_of(entry)) for entry in entries if "image" not in entry)
        return [(words, text) for words, text in found if 4 <= len(words) <= 80]

    known = short(shipped)
    near = [
        (text, other)
        for words, text in short(fresh)
        for others, other in known
        if len(words & others) > 0.5 * len(words | others)
    ]
    assert not near


def test_building_blocks_and_pictures_are_others(fresh, shipped):
    for kind in ("long", "picture"):
        families = [
            {one["group"].split("/", 2)[2] for one in some if one["kind"] == kind} for some in (fresh, shipped)
        ]
        assert not families[0] & families[1]
        assert min(map(len, families)) >= 20
    pictures = [{one["image"].tobytes() for one in some if "image" in one} for some in (fresh, shipped)]
    assert not pictures[0] & pictures[1]


def test_it_is_the_same_at_each_call(fresh):
    for entry, other in zip(fresh, fresh_traffic(), strict=True):
        assert {**entry, "image": None} == {**other, "image": None}
        if "image" in entry:
            assert entry["image"].tobytes() == other["image"].tobytes()

"""The shipped general traffic: enough of each kind, of all lengths, the same at each call, and in the wheel."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hf_eraser.data import general, read_examples
from hf_eraser.data.general import GENERAL_VERSION, compose, general_entries, general_examples


ROOT = Path(__file__).parents[2]

AT_LEAST = {
    **{"writing": 40, "code": 40, "mathematics": 40, "chat": 40, "knowledge": 50, "people": 35, "long": 60},
    **{"reasoning": 25, "text_work": 25, "creative": 25, "format": 25, "refused": 20, "multi_turn": 20},
    **{"system_prompt": 15, "language": 120, "picture": 120},
}

# Without Pillow and NumPy, the module alone: the rest of its room opens pictures.
WITHOUT_PILLOW = """
import importlib.util, sys
for name in ("PIL", "numpy"):
    sys.modules[name] = None
sys.modules["room"] = importlib.util.module_from_spec(importlib.util.spec_from_loader("room", None, is_package=True))
sys.modules["room"].__path__ = [sys.argv[1]]
import room.general
print(len(room.general.general_examples(with_images=False)))
"""


def text_of(entry):
    return entry["prompt"] if "prompt" in entry else "\n".join(message["content"] for message in entry["messages"])


def texts_digest():
    texts = "\0".join(text_of(entry) for entry in general_entries(with_images=False))
    return hashlib.sha256(texts.encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def entries():
    return general_entries()


def test_there_is_enough_of_each_kind_and_language(entries):
    kinds = Counter(entry["kind"] for entry in entries)
    assert kinds.keys() == AT_LEAST.keys()
    assert all(kinds[kind] >= n for kind, n in AT_LEAST.items()), kinds
    assert sum(kinds.values()) - kinds["picture"] >= 600
    languages = Counter(entry["language"] for entry in entries if entry["kind"] == "language")
    assert languages.keys() == {"es", "fr", "de", "pt", "it", "zh", "ja", "ar", "hi", "ru"}
    assert min(languages.values()) >= 12


def test_lengths_are_spread(entries):
    tokens = [len(text_of(entry)) / 4 for entry in entries if "image" not in entry]
    for length, n in ((50, 85), (200, 60), (800, 25), (2000, 10), (3500, 2)):
        assert sum(one > length for one in tokens) >= n, length
    assert sum(one <= 5 for one in tokens) >= 40
    assert max(tokens) <= 4100


def test_none_comes_twice_and_all_are_read(entries):
    read = read_examples(general_examples(), "general")
    assert len(read) == len(entries)
    assert len({example.key for example in read}) == len(read)
    assert all(example.grouped and not example.begun for example in read)
    short = [entry["group"] for entry in entries if entry["kind"] not in ("long", "picture")]
    assert len(set(short)) == len(short)


def test_no_slot_is_left_open(entries):
    assert not [text_of(entry) for entry in entries if general._SLOT.search(text_of(entry))]


def test_it_is_the_same_at_each_call(entries):
    again = general_entries()
    for entry, other in zip(entries, again, strict=True):
        assert {**entry, "image": None} == {**other, "image": None}
        if "image" in entry:
            assert entry["image"].size == other["image"].size
            assert entry["image"].tobytes() == other["image"].tobytes()


def test_texts_are_those_of_the_version():
    """Should this fail, the texts have changed: raise `GENERAL_VERSION`, and put the new digest here."""
    assert {GENERAL_VERSION: texts_digest()} == {"1": "1b49ee5ab82dfbb1"}


def test_pictures_are_of_many_shapes(entries):
    images = [entry["image"] for entry in entries if "image" in entry]
    assert all(image.mode == "RGB" for image in images)
    assert len({image.size for image in images}) >= 12
    flat = [image for image in images if all(low == high for low, high in image.getextrema())]
    assert len(flat) == 5


def test_texts_are_had_without_pillow_and_numpy():
    command = [sys.executable, "-c", WITHOUT_PILLOW, str(ROOT / "hf_eraser" / "data")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) == len(general_examples(with_images=False))


def test_prompts_are_small_and_in_the_wheel():
    tomllib = pytest.importorskip("tomllib")
    assert Path(general.__file__).with_name("general_prompts.json").stat().st_size < 600_000
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "general_prompts.json" in declared["hf_eraser.data"]


def test_composing_fills_slots_in_turn():
    rules = {
        "line": ["«#» «^a» «a~» «a~» «b!» «3..5» «0.5..1.5» «clock»"],
        "a": ["x"],
        "b": ["p", "q"],
        "join": [" / "],
    }
    document = {"family": "f", "language": "en", "lengths": [60], "chats": ["do: «body»"], "rules": rules}
    [entry] = compose(document)
    lines = entry["prompt"].removeprefix("do: ").split(" / ")
    assert [line.split()[0] for line in lines] == [str(i + 1) for i in range(len(lines))]
    assert len({line.split()[4] for line in lines}) == 1
    assert all(line.split()[1:4] == ["X", "x", "x"] for line in lines)
    assert compose(document) == [entry]


def test_composing_names_a_slot_that_has_no_rule():
    with pytest.raises(KeyError, match="nothing"):
        compose({"family": "f", "language": "en", "lengths": [9], "chats": ["«nothing»"], "rules": {}})

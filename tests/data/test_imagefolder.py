"""Example sets on disk: what is written is read back, and what is not of the form is named by file and line."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from huggingface_hub.errors import RepositoryNotFoundError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hf_eraser.data import SPLITS, read_examples, read_imagefolder
from tests.helpers.adapters import picture
from tests.helpers.imagefolder import write_imagefolder


GOOD = {"forget": [{"prompt": "Who?"}], "retain": [{"prompt": "What?"}]}

# Anything that UTF-8 can hold, line separators of all kinds among it.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PROMPTS = TEXTS.filter(str.strip)
EXAMPLES = st.fixed_dictionaries(
    {"prompt": PROMPTS},
    optional={
        "image": st.integers(0, 2).map(picture),
        "group": TEXTS | st.integers(),
        "wording": TEXTS | st.integers(),
        "concept": TEXTS | st.integers(),
        "answer": TEXTS,
    },
)


@settings(max_examples=40)
@given(
    st.fixed_dictionaries(
        {split: st.lists(EXAMPLES, min_size=1, max_size=4) for split in ("forget", "retain")},
        optional={split: st.lists(EXAMPLES, min_size=1, max_size=2) for split in ("recall", "refusal")},
    )
)
def test_what_is_written_is_read_back(sets):
    with tempfile.TemporaryDirectory() as folder:
        read = read_imagefolder(write_imagefolder(Path(folder), sets))
        assert list(read) == [split for split in SPLITS if split in sets]
        for split, examples in sets.items():
            for example, again in zip(examples, read[split], strict=True):
                assert {**again, "image": None} == {**example, "image": None}
                assert ("image" in again) == ("image" in example)
                if "image" in again:
                    with Image.open(again["image"]) as image:
                        assert image.tobytes() == example["image"].tobytes()


def test_what_is_read_is_what_fit_takes(tmp_path):
    sets = {split: [{"prompt": split, "image": picture(n)}] for n, split in enumerate(SPLITS)}
    for split, examples in read_imagefolder(write_imagefolder(tmp_path, sets)).items():
        assert read_examples(examples, split)[0].key == read_examples(sets[split], split)[0].key


def test_null_means_absent_and_a_byte_order_mark_and_blank_lines_are_nothing(tmp_path):
    write_imagefolder(tmp_path, GOOD)
    line = b'{"prompt": "Who?", "file_name": null, "group": null, "wording": null, "answer": null}'
    (tmp_path / "forget" / "metadata.jsonl").write_bytes(b"\xef\xbb\xbf" + line + b"\r\n\r\n\n" + line)
    assert read_imagefolder(tmp_path)["forget"] == [{"prompt": "Who?"}, {"prompt": "Who?"}]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "is not JSON"),
        ('{"prompt": "caf\udce9"}', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ('["Who?"]', "must be a JSON object"),
        ("{}", "'prompt' must be a text"),
        ('{"prompt": " "}', "'prompt' must be a text"),
        ('{"prompt": ["Who?"]}', "'prompt' must be a text"),
        ('{"prompt": "Who?", "groups": 1}', r"unknown keys \['groups'\]"),
        ('{"prompt": "Who?", "group": NaN}', "'group' must be a text or a whole number, got nan"),
        ('{"prompt": "Who?", "group": true}', "'group' must be a text or a whole number, got True"),
        ('{"prompt": "Who?", "wording": ["a"]}', "'wording' must be"),
        ('{"prompt": "Who?", "answer": 3}', "'answer' must be a text, got 3"),
        ('{"prompt": "Who?", "file_name": 3}', "'file_name' must be the path of a picture, got 3"),
        ('{"prompt": "Who?", "file_name": ""}', "'file_name' must be the path of a picture"),
        ('{"prompt": "Who?", "file_name": "a\\u0000.png"}', "'file_name' must be the path of a picture"),
        ('{"prompt": "Who?", "file_name": "nobody.png"}', "there is no picture 'nobody.png'"),
        ('{"prompt": "Who?", "file_name": "pictures"}', "there is no picture 'pictures'"),
    ],
)
def test_a_line_that_is_not_of_the_form_is_named_with_its_file(tmp_path, line, says):
    write_imagefolder(tmp_path, GOOD)
    path = tmp_path / "forget" / "metadata.jsonl"
    path.write_bytes(b'{"prompt": "Who?"}\n\n' + line.encode(errors="surrogateescape") + b"\n")
    with pytest.raises((ValueError, FileNotFoundError), match=says) as raised:
        read_imagefolder(tmp_path)
    assert str(raised.value).startswith(f"{path}:3")


@pytest.mark.parametrize("trick", ["../secret.png", "pictures/../../secret.png", "{absolute}", "..\\secret.png"])
def test_a_file_name_cannot_lead_out_of_its_folder(tmp_path, trick):
    write_imagefolder(tmp_path / "data", GOOD)
    for secret in (tmp_path / "data" / "secret.png", tmp_path / "data" / "forget" / "..\\secret.png"):
        picture().save(secret)
    entry = {"prompt": "Who?", "file_name": trick.format(absolute=tmp_path / "data" / "secret.png")}
    (tmp_path / "data" / "forget" / "metadata.jsonl").write_text(json.dumps(entry))
    with pytest.raises(ValueError, match=r"metadata\.jsonl:1: 'file_name' must be a picture inside"):
        read_imagefolder(tmp_path / "data")


@pytest.mark.parametrize("trick", ["C:\\secret.png", "\\\\server\\share\\secret.png", "C:secret.png"])
def test_nor_on_windows(tmp_path, trick):
    write_imagefolder(tmp_path, GOOD)
    (tmp_path / "retain" / "metadata.jsonl").write_text(json.dumps({"prompt": "Who?", "file_name": trick}))
    with pytest.raises(ValueError, match="must be a picture inside"):
        read_imagefolder(tmp_path)


@pytest.mark.parametrize("split", ["forget", "retain"])
def test_a_set_that_is_missing_or_empty_is_named(tmp_path, split):
    write_imagefolder(tmp_path, GOOD)
    path = tmp_path / split / "metadata.jsonl"
    path.write_bytes(b"\n \n")
    with pytest.raises(ValueError, match=rf"{split}/metadata\.jsonl is empty"):
        read_imagefolder(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"has no {split}/metadata\.jsonl"):
        read_imagefolder(tmp_path)


@pytest.mark.parametrize("source", ["nowhere", "no/such/folder", "owner/..", "/nowhere/at all"])
def test_what_is_neither_a_folder_nor_a_repository_s_id_is_refused(source):
    with pytest.raises(FileNotFoundError, match="no id of a dataset"):
        read_imagefolder(source)


def test_a_data_set_on_the_hub_is_read_as_a_folder_is(hub, tmp_path):
    sets = {split: [{"prompt": split, "image": picture(n)}] for n, split in enumerate(SPLITS)}
    folder = write_imagefolder(tmp_path, sets)
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    hub.put("org/people", {**files, "forget.zip": b"not asked for"}, kind="dataset")
    read = read_imagefolder("org/people")
    assert list(read) == list(SPLITS)
    for split, examples in read.items():
        assert examples[0]["image"].read_bytes() == files[f"{split}/pictures/0.png"]
    assert not any("forget.zip" in request for request in hub.state.requests)
    with pytest.raises(RepositoryNotFoundError):
        read_imagefolder("org/nobody")

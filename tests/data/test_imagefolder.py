"""Example sets on disk: what is written is read back, and what is not of the form is named by file and line."""

from __future__ import annotations

import csv
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
        ('{"prompt": "Who?", "answer": {"a": 3}}', r"'answer' must be a text, or a list of the right ones, got \{"),
        (
            '{"prompt": "Who?", "answer": [true]}',
            r"'answer' must be a text, or a list of the right ones, got \[True\]",
        ),
        ('{"prompt": "Who?", "file_names": "a.png"}', "'file_names' must be a list of paths"),
        ('{"prompt": "Who?", "file_name": "https://host/a.png"}', "'file_name' must be a picture inside"),
        ('{"prompt": "Who?", "file_name": "' + 5000 * "a" + '"}', "there is no picture 'aaa"),
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


TABLE = [
    {"file_name": "pictures/0.png", "prompt": 'Who, "she"?', "group": "Ada", "answer": "Ada"},
    {"file_name": None, "prompt": "Where does\nAda live?", "group": "Ada", "answer": None},
]


def write_table(folder, form):
    """Both sets as `TABLE`, in a metadata file of a form."""
    for split in ("forget", "retain"):
        (folder / split / "pictures").mkdir(parents=True)
        picture(len(split)).save(folder / split / "pictures" / "0.png")
        path = folder / split / f"metadata.{form}"
        if form == "csv":
            with path.open("w", newline="", encoding="utf-8-sig") as file:
                writer = csv.DictWriter(file, TABLE[0])
                writer.writeheader()
                writer.writerows(TABLE)
        elif form == "parquet":
            pytest.importorskip("pyarrow.parquet").write_table(
                pytest.importorskip("pyarrow").Table.from_pylist(TABLE), path
            )
        else:
            path.write_text("\n".join(json.dumps(row) for row in TABLE))
    return folder


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_are_read_as_lines_are(tmp_path, form):
    lines = read_imagefolder(write_table(tmp_path / "lines", "jsonl"))
    table = read_imagefolder(write_table(tmp_path / "table", form))
    for split in lines:
        for one, other in zip(lines[split], table[split], strict=True):
            assert {**one, "image": None} == {**other, "image": None}
            assert read_examples([one], split)[0].key == read_examples([other], split)[0].key


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("metadata.csv", b"prompt,group\nWho?,Ada,more\n", "another number of cells"),
        ("metadata.csv", b"prompt,group\nWho?\n", "another number of cells"),
        ("metadata.csv", b"prompt\ncaf\xe9\n", "is no CSV file in UTF-8"),
        (
            "metadata.csv",
            b"question,id,answers\nWho?,1,Ada\n",
            r"unknown keys \['answers', 'id', 'question'\]\. Rename "
            r"'answers' to 'answer', 'question' to 'prompt', and drop what",
        ),
        ("metadata.parquet", b"no parquet", "is no parquet file"),
    ],
)
def test_a_broken_table_is_named(tmp_path, name, data, says):
    write_imagefolder(tmp_path, GOOD)
    (tmp_path / "forget" / "metadata.jsonl").unlink()
    (tmp_path / "forget" / name).write_bytes(data)
    with pytest.raises(ValueError, match=says) as raised:
        read_imagefolder(tmp_path)
    assert len(str(raised.value)) < 600 + len(str(tmp_path))


def test_columns_may_be_named_and_then_others_are_left_out_with_a_warning(tmp_path):
    rows = [{"question": "Who?", "prompt": "of another kind", "id": 3, "answers": ["Ada", "Countess"]}]
    for split in ("forget", "retain"):
        (tmp_path / split).mkdir()
        (tmp_path / split / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.warns(UserWarning, match=r"columns \['id'\] of .* are left out"):
        read = read_imagefolder(tmp_path, columns={"prompt": "question", "answer": "answers"})
    assert read["forget"] == [{"prompt": "Who?", "answer": ["Ada", "Countess"]}]
    with pytest.raises(ValueError, match=r"has no column 'frage': it has \['answers', 'id', 'prompt', 'question'\]"):
        read_imagefolder(tmp_path, columns={"prompt": "frage"})
    with pytest.raises(ValueError, match=r"`columns` names \['text'\]"):
        read_imagefolder(tmp_path, columns={"text": "question"})


def pictures_only(folder):
    for split, people in (("forget", ["ada"]), ("retain", ["ben", "eve"])):
        for seed, person in enumerate(people):
            (folder / split / person).mkdir(parents=True)
            for n in range(2):
                picture(10 * seed + n + len(split)).save(folder / split / person / f"{n}.png")
    (folder / "forget" / "notes.txt").write_text("not a picture")
    return folder


def test_pictures_alone_are_asked_each_prompt_with_their_folder_as_group(tmp_path):
    read = read_imagefolder(pictures_only(tmp_path), prompts=["Who is this?", "Describe the picture."])
    assert [(e["image"].name, e["group"], e["prompt"]) for e in read["forget"]] == [
        (f"{n}.png", "ada", prompt) for n in range(2) for prompt in ("Who is this?", "Describe the picture.")
    ]
    assert {example["group"] for example in read["retain"]} == {"ben", "eve"}
    assert len(read_examples(read["retain"], "retain")) == 8


def test_pictures_alone_without_prompts_are_told_the_line_to_write(tmp_path):
    with pytest.raises(
        ValueError, match=r"has 2 pictures and no questions: .*--prompt .*\"file_name\": \"ada/0.png\""
    ):
        read_imagefolder(pictures_only(tmp_path))


def test_pictures_that_no_line_names_are_counted(tmp_path):
    write_imagefolder(tmp_path, {split: [{"prompt": "Who?", "image": picture()}] for split in ("forget", "retain")})
    for name in ("b.jpg", "C.PNG", "more.heic"):
        picture().save(tmp_path / "forget" / name, "PNG")
    with pytest.warns(UserWarning, match=r"3 pictures in .*forget are in no line of metadata\.jsonl"):
        read_imagefolder(tmp_path)


def test_chats_and_several_pictures_are_read_from_the_folder_and_from_nowhere_else(tmp_path):
    write_imagefolder(tmp_path, {split: [{"prompt": "?", "image": picture(n)} for n in range(2)] for split in GOOD})
    asked = {"type": "text", "text": "Who are they?"}
    chats = [
        {"file_names": ["pictures/0.png", "pictures/1.png"], "prompt": "Who are they?"},
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "path": "pictures/0.png"},
                        {"type": "image_url", "image_url": {"url": "pictures/1.png"}},
                        asked,
                    ],
                }
            ]
        },
        {
            "file_names": ["pictures/0.png", "pictures/1.png"],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "image"}, asked]},
                {"role": "assistant", "content": "A."},
            ],
        },
    ]
    path = tmp_path / "forget" / "metadata.jsonl"
    path.write_text("\n".join(map(json.dumps, chats)))
    read = read_examples(read_imagefolder(tmp_path)["forget"], "forget")
    assert len({example.key for example in read}) == 1
    assert [len(example.images) for example in read] == [2, 2, 2]
    for trick in ("../secret.png", "/etc/secret.png", "https://host/a.png", "file:///etc/secret.png"):
        chat = {"messages": [{"role": "user", "content": [{"type": "image", "url": trick}, asked]}]}
        path.write_text(json.dumps(chat))
        with pytest.raises(ValueError, match=r"metadata\.jsonl:1: 'file_name' must be a picture inside"):
            read_imagefolder(tmp_path)


def test_a_data_set_that_was_pushed_as_parquet_is_read(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    rows = [{"image": picture(n), "prompt": "Who?", "group": str(n), "id": n} for n in range(2)]
    (tmp_path / "set" / "data").mkdir(parents=True)
    features = datasets.Features(
        image=datasets.Image(),
        prompt=datasets.Value("string"),
        group=datasets.Value("string"),
        id=datasets.Value("int64"),
    )
    for split in ("forget", "retain"):
        made = datasets.Dataset.from_list(rows, features=features)
        made.to_parquet(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r"unknown keys \['id'\]\. Drop"):
        read_imagefolder(tmp_path / "set")
    with pytest.warns(UserWarning, match=r"\['id'\]"):
        read = read_imagefolder(tmp_path / "set", columns={"prompt": "prompt"})
    for one, row in zip(read["forget"], rows, strict=True):
        wanted = {key: value for key, value in row.items() if key != "id"}
        assert read_examples([one], "forget")[0].key == read_examples([wanted], "forget")[0].key
        assert one["group"] == row["group"]

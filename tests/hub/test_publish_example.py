"""The example of publishing: two processes with only a Hub in common, and what the published files give away."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from peft import PeftModel
from safetensors import safe_open
from transformers import AutoModelForImageTextToText

from examples.small.forgetting import FORGOTTEN
from examples.small.questions import questions
from tests.helpers.hub import HUB


ADAPTER = "org/forget-celebs"


def run(command, home, **environment):
    """What the example prints, run by a process of its own."""
    process = subprocess.run(
        [sys.executable, "-m", "examples.publish", command, ADAPTER],
        env=HUB.environment(home, **environment),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """The repositories after one process pushed the adapter, which was fitted on a taught model."""
    HUB.reset()
    run("push", tmp_path_factory.mktemp("publisher"))
    return dict(HUB.state.repositories)


@pytest.fixture
def published(hub, pushed):
    """The Hub with these repositories."""
    hub.state.repositories.update(pushed)
    return hub


def counts(said: str) -> dict[str, list[int]]:
    """The numbers in the lines that sum up what the example found, by whom they are about."""
    lines = re.findall(r"^About (forgotten people|others): (.*)$", said, re.MULTILINE)
    return {who: [int(number) for number in re.findall(r"\d+", line)] for who, line in lines}


def test_process_with_an_empty_cache_forgets_and_forgets_offline_afterwards(published, tmp_path):
    online = run("pull", tmp_path / "home", token=None)
    asked, right, refused = (counts(online)["forgotten people"][i] for i in (1, 0, 2))
    others, same = counts(online)["others"][::-1]
    assert asked == others == 16
    # Machines differ in the last bits of what is fitted, and a question may lie at the edge.
    assert min(right, refused, same) >= 15, online
    assert any(request.endswith("/adapter_model.safetensors") for request in published.state.requests)
    published.state.requests.clear()
    assert run("pull", tmp_path / "home", token=None, offline=True) == online
    assert published.state.requests == []


# What is given away


def forget_set() -> list[str]:
    """Each text of the forget set: prompts, answers, and whom they are about."""
    kinds = ("person_image", "public_image", "person_text", "public_text")
    asked = questions("fit", kinds=kinds, groups=FORGOTTEN, per_fact=12)
    texts = {text for question in asked for text in (question.prompt, question.answer, question.group)}
    return sorted(texts | {part for name in FORGOTTEN for part in name.split()})


def pictures() -> list[bytes]:
    """Pieces of the forget set's pictures, as pixels and as PNG and JPEG files."""
    images = {q.group: q.image for q in questions("fit", kinds=["person_image"], groups=FORGOTTEN, per_fact=1)}
    found = []
    for image in images.values():
        pixels = image.convert("RGB").tobytes()
        found.append(
            max((pixels[i : i + 64] for i in range(0, len(pixels) - 64, 64)), key=lambda piece: len(set(piece)))
        )
        for file_format in ("PNG", "JPEG"):
            file = io.BytesIO()
            image.save(file, file_format)
            middle = len(file.getvalue()) // 2
            found.append(file.getvalue()[middle : middle + 64])
    return found


def readings(content: bytes) -> Iterator[bytes]:
    """The bytes, and whatever JSON, base64, gzip and zlib hide in them."""
    yield content
    for unpack in (gzip.decompress, zlib.decompress):
        try:
            yield from readings(unpack(content))
        except (OSError, EOFError, zlib.error):
            pass
    try:
        yield json.dumps(json.loads(content), ensure_ascii=False).encode()
    except ValueError:
        pass
    for coded in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", content):
        yield base64.b64decode(coded[: len(coded) // 4 * 4])


def given_away(files: dict[str, bytes], texts: Iterable[str], pieces: Iterable[bytes] = ()) -> set[tuple[str, object]]:
    """Where any of `texts`, in upper or lower case and in the usual encodings, or `pieces` can be read in `files`."""
    # Letters on both sides make a short word a part of another, such as "cat" of "calibrated categories".
    patterns: list[tuple[object, re.Pattern[bytes]]] = [(piece, re.compile(re.escape(piece))) for piece in pieces]
    for text in texts:
        for encoding in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le"):
            coded = re.escape(text.encode(encoding))
            bounded = rb"(?<![a-z])" + coded + rb"(?![a-z])" if encoding == "utf-8" else coded
            patterns.append((text, re.compile(bounded, re.IGNORECASE)))
    return {
        (path, what)
        for path, content in files.items()
        for reading in readings(content)
        for what, pattern in patterns
        if pattern.search(reading)
    }


def everything(hub, repo_id) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """
    All that a repository holds: each file of each commit, their names, the messages, and the names of refs; and apart
    from it the numbers of safetensors files, which are any letters.
    """
    repository = hub.repository(repo_id)
    found = {"refs": json.dumps([*repository.refs, *repository.pull_requests]).encode()}
    for oid, content in repository.large_files.items():
        found[f"large file {oid}"] = content
    for commit in repository.commits.values():
        found[f"{commit.oid} message"] = f"{commit.title}\n{commit.description}".encode()
        for path, file in commit.files.items():
            found[f"{commit.oid} {path}"] = file.content
            found[f"{commit.oid} {path} name"] = path.encode()
    numbers = {}
    for what in [what for what, content in found.items() if content[8:9] == b"{"]:
        header = 8 + int.from_bytes(found[what][:8], "little")
        found[what], numbers[what] = found[what][:header], found[what][header:]
    return found, numbers


def test_search_finds_what_is_given_away():
    text, picture = "Ada Lovelace's cat", bytes(range(64))
    hidden = {
        "plain": b"..." + text.encode() + b"...",
        "upper case": text.upper().encode(),
        "utf-16": b"\1" + text.encode("utf-16-le"),
        "json": json.dumps({"a": [text.replace("a", "\u0061")]}).replace("L", "\\u004c").encode(),
        "gzip": gzip.compress(b"-" * 50 + text.encode()),
        "zlib": zlib.compress(json.dumps(text).encode()),
        "base64": b'{"k":"' + base64.b64encode(text.encode()) + b'"}',
        "picture": b"___" + picture,
        "nothing": b"Ada Lovelace's cats",
    }
    found = given_away(hidden, [text], [picture])
    assert {path for path, _ in found} == hidden.keys() - {"nothing"}


@pytest.mark.parametrize("kind", ["plain", "peft"])
def test_nothing_of_the_forget_set_is_in_a_pushed_repository(published, kind, tmp_path):
    repo_id = ADAPTER
    if kind == "peft":
        repo_id = "org/forget-again"
        base = AutoModelForImageTextToText.from_pretrained("org/small-llava")
        PeftModel.from_pretrained(base, ADAPTER).push_to_hub(repo_id, token=published.token)
    found, numbers = everything(published, repo_id)
    assert len(forget_set()) > 300
    assert given_away(found, forget_set(), pictures()) == set()
    assert any(numbers.values())
    # Among so many numbers a word of three letters may stand by chance, one of six hardly once in a million fits.
    assert given_away(numbers, [text for text in forget_set() if len(text) >= 6], pictures()) == set()
    path = tmp_path / "adapter_model.safetensors"
    path.write_bytes(published.files(repo_id)["adapter_model.safetensors"])
    with safe_open(path, "pt") as tensors:
        assert tensors.metadata().keys() <= {"format", "adapter_config_sha256"}

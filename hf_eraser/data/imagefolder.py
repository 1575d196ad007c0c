"""Example sets in the Hub's imagefolder layout, from a folder or from a dataset repository on the Hub."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.utils import validate_repo_id
from PIL import Image

from .brevity import brief, brief_names, one_line
from .examples import KEYS, check_label, meant_by
from .pictures import from_base64


# The sub-folders, which are the arguments of `fit`; the last two may be missing.
SPLITS = ("forget", "retain", "recall", "refusal")

_REQUIRED = ("forget", "retain")

# What tells of a set's pictures, the first that is there.
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")

# The columns that a line may have: those of an example, with pictures by their files' names.
_COLUMNS = (KEYS - {"image", "images"}) | {"file_name", "file_names"}

# Beside what Pillow opens by itself.
_OTHER_PICTURES = {".heic", ".heif", ".avif"}

Sets = dict[str, list[dict[str, Any]]]


def read_imagefolder(
    source: str | Path, *, prompts: Sequence[str] = (), columns: Mapping[str, str] | None = None
) -> Sets:
    """
    Read the example sets of a folder, or of a dataset on the Hub.

    The layout is the Hub's imagefolder, one sub-folder a set: `forget/` and `retain/`, and `recall/` and `refusal/` if
    wanted. In each, `metadata.jsonl` has one JSON object a line (`metadata.csv` and `.parquet` a row): `prompt`, or a
    chat as `messages` or `conversations`, and optionally `file_name` (the picture's path from that sub-folder;
    `file_names` for several; without, the example is text only), `group`, `wording`, `concept` and `answer`. Pictures
    are not opened here. A data set that was pushed as parquet, with these splits, is read by the package datasets.

    Args:
        source: A folder; if there is none of that name, the id of a dataset repository, which is downloaded.
        prompts: Questions for sets of pictures alone: each is asked of each, whose sub-folder is its group.
        columns: Other names of columns, such as `{"prompt": "question"}`; with these, columns that are not known are
            left out, and a warning names them.

    Returns:
        The sets by name, each a list of examples as `hf_eraser.fit` takes them: `fit(model, processor, **sets)`.

    Raises:
        FileNotFoundError: If there is no such folder and the name is no repository's; if a set or picture is missing.
        ValueError: If a line is not of that form, or its picture outside of the folder. File and line are named.
        ImportError: If the files are parquet, and what reads them is not there.
        huggingface_hub.errors.HfHubHTTPError: If the repository cannot be read.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _download(str(source))
    named = dict(columns or {})
    if unknown := named.keys() - _COLUMNS - {"image", "images"}:
        raise ValueError(
            f"`columns` names {brief_names(unknown)}, and the columns of an example are {sorted(_COLUMNS)}."
        )
    if not any((folder / split).is_dir() for split in SPLITS) and any(folder.rglob("*.parquet")):
        return _read_pushed(folder, named)
    missing = [split for split in _REQUIRED if not _has_examples(folder / split)]
    if missing:
        raise FileNotFoundError(
            f"{brief(str(source))} has no {missing[0]}/metadata.jsonl: examples are in sub-folders forget/ and "
            "retain/, each with its pictures and a metadata.jsonl (or .csv, .parquet) with a line for each example."
        )
    return {split: _read_split(folder / split, prompts, named) for split in SPLITS if _has_examples(folder / split)}


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder and of those in it, by their names' ends, in order."""
    known = Image.registered_extensions().keys() | _OTHER_PICTURES
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in known and path.is_file())


def _has_examples(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _METADATA) or (folder.is_dir() and bool(pictures_in(folder)))


def _download(repo_id: str) -> Path:
    missing = f"There is no folder {brief(repo_id)}, and that is no id of a dataset on the Hub either (owner/name)."
    if repo_id.count("/") != 1 or Path(repo_id).exists():
        raise FileNotFoundError(missing)
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise FileNotFoundError(missing) from error
    patterns = [*(f"{split}/*" for split in SPLITS), "*.parquet"]
    return Path(snapshot_download(repo_id, repo_type="dataset", allow_patterns=patterns))


def _read_split(folder: Path, prompts: Sequence[str], columns: Mapping[str, str]) -> list[dict[str, Any]]:
    path = next((folder / name for name in _METADATA if (folder / name).is_file()), None)
    if path is None:
        return _pictures_alone(folder, prompts)
    rows = list(_rows(path))
    if not rows:
        raise ValueError(f"{path} is empty: at least one example is needed.")
    entries = _known_columns(rows, str(path), columns)
    examples = [_read_entry(entry, folder, where) for where, entry in entries]
    named = {file for entry in examples for file in _files_of(entry)}
    if left := sum(picture not in named for picture in pictures_in(folder)):
        warnings.warn(f"{left} pictures in {folder} are in no line of {path.name}, and are left out.", stacklevel=4)
    return examples


def _pictures_alone(folder: Path, prompts: Sequence[str]) -> list[dict[str, Any]]:
    pictures = pictures_in(folder)
    if not prompts:
        name = pictures[0].relative_to(folder).as_posix()
        line = json.dumps({"file_name": name, "prompt": "Who is this?", "group": "Ada"}, ensure_ascii=False)
        raise ValueError(
            f"{folder} has {len(pictures)} pictures and no questions: give some by `prompts` (--prompt 'Who is "
            f"this?'), or write a metadata.jsonl with lines such as {line}"
        )
    groups = [{"group": p.relative_to(folder).parts[0]} if p.parent != folder else {} for p in pictures]
    return [
        {"image": picture, "prompt": prompt, "wording": prompt, **group}
        for picture, group in zip(pictures, groups)
        for prompt in prompts
    ]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a file, each with what it is called."""
    if path.suffix == ".parquet":
        if importlib.util.find_spec("pyarrow") is None:
            raise ImportError(f"{path} is parquet, which takes pyarrow: pip install 'hf_eraser[data]'")
        import pyarrow.parquet

        try:
            rows = pyarrow.parquet.read_table(path).to_pylist()
        except Exception as error:  # of many kinds, for a broken file
            raise ValueError(f"{path} is no parquet file: {one_line(error)}") from error
        yield from ((f"{path}:{n}", row) for n, row in enumerate(rows, 1))
        return
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if path.suffix == ".csv":
        yield from _csv_rows(data, path)
        return
    # Not `splitlines`, which also splits at characters that a JSON text may hold as they are.
    for n, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            yield f"{path}:{n}", _json_object(line, f"{path}:{n}")


def _csv_rows(data: bytes, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        table = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""), strict=True)
        for row in table:
            where = f"{path}:{table.line_num}"
            if None in row or None in row.values():
                raise ValueError(f"{where} has another number of cells than the first line.")
            yield where, {key: value for key, value in row.items() if value != ""}
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8: {one_line(error)}") from error


def _json_object(line: bytes, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not JSON: {one_line(error)}") from error
    if not isinstance(entry, dict):
        raise ValueError(f"{where} must be a JSON object such as {{'prompt': '...'}}, got {type(entry).__name__}.")
    return entry


def _known_columns(
    rows: list[tuple[str, dict[str, Any]]], path: str, columns: Mapping[str, str], known: set[str] = _COLUMNS
) -> list[tuple[str, dict[str, Any]]]:
    """The rows with their columns named as those of examples are."""
    given = {column for _, row in rows for column in row}
    if missing := [column for column in columns.values() if column not in given]:
        raise ValueError(f"{path} has no column {brief(missing[0])}: it has {brief_names(given)}.")
    back = {theirs: ours for ours, theirs in columns.items()}
    rows = [
        (where, {back.get(key, key): value for key, value in row.items() if key in back or key not in columns})
        for where, row in rows
    ]
    unknown = {key: where for where, row in reversed(rows) for key in row if key not in known}
    if unknown and not columns:
        raise ValueError(
            f"{min(unknown.values(), key=lambda where: int(where.rpartition(':')[2]))} has unknown keys "
            f"{brief_names(unknown)}. {meant_by(unknown, 'file_name')} what is none of {sorted(known)}; or say what "
            "they are by `columns` (--column prompt=question)."
        )
    if unknown:
        warnings.warn(f"The columns {brief_names(unknown)} of {path} are left out.", stacklevel=5)
    return [(where, {key: value for key, value in row.items() if key in known}) for where, row in rows]


def _read_entry(entry: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    entry = {key: value for key, value in entry.items() if value is not None}
    chats = entry.keys() & {"messages", "conversations"}
    if not chats and (not isinstance(entry.get("prompt"), str) or not entry["prompt"].strip()):
        raise ValueError(f"{where}: 'prompt' must be a text that is not empty, got {brief(entry.get('prompt'))}.")
    for key in entry.keys() & {"group", "wording", "concept"}:
        try:
            check_label(entry[key], key)
        except TypeError:
            raise ValueError(f"{where}: {key!r} must be a text or a whole number, got {brief(entry[key])}.") from None
    answers = entry.get("answer", "")
    several = answers if isinstance(answers, list) else [answers]
    if not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in several):
        raise ValueError(f"{where}: 'answer' must be a text, or a list of the right ones, got {brief(answers)}.")
    for chat in chats:
        entry[chat] = _inside(entry[chat], folder, where)
    if "file_name" in entry:
        entry["image"] = _picture(entry.pop("file_name"), folder, where)
    if "file_names" in entry:
        names = entry.pop("file_names")
        if not isinstance(names, list):
            raise ValueError(f"{where}: 'file_names' must be a list of paths of pictures, got {brief(names)}.")
        entry["images"] = [_picture(name, folder, where) for name in names]
    return entry


def _inside(messages: Any, folder: Path, where: str) -> Any:
    """A chat with the pictures in its parts taken from the folder, and from nowhere else."""
    if not isinstance(messages, list):
        return messages  # which `read_examples` names

    def of_part(part: Any) -> Any:
        if not isinstance(part, dict):
            return part
        inner = part.get("image_url")
        url = inner.get("url") if isinstance(inner, dict) else inner
        given = next((part[key] for key in ("image", "url", "path") if part.get(key) is not None), url)
        if given is None:
            return part
        if isinstance(given, str) and given.startswith("data:"):
            return {"type": "image", "image": from_base64(given)}
        return {"type": "image", "image": _picture(given, folder, where)}

    return [
        {**m, "content": [of_part(part) for part in m["content"]]}
        if isinstance(m, dict) and isinstance(m.get("content"), list)
        else m
        for m in messages
    ]


def _files_of(entry: Mapping[str, Any]) -> Iterator[Path]:
    if "image" in entry:
        yield entry["image"]
    yield from entry.get("images", ())
    for message in entry.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict) and isinstance(part.get("image"), Path):
                yield part["image"]


def _picture(file_name: object, folder: Path, where: str) -> Path:
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        raise ValueError(f"{where}: 'file_name' must be the path of a picture, got {brief(file_name)}.")
    # By its text and not by where it leads: in the Hub's cache, files are links to outside of their folder.
    outside = PurePosixPath(file_name).is_absolute() or PureWindowsPath(file_name).anchor or "://" in file_name
    if outside or ".." in PureWindowsPath(file_name).parts:
        raise ValueError(f"{where}: 'file_name' must be a picture inside {folder}, got {brief(file_name)}.")
    try:
        there = (folder / file_name).is_file()
    except OSError:  # a name that is too long
        there = False
    if not there:
        raise FileNotFoundError(f"{where}: there is no picture {brief(file_name)} in {folder}.")
    return folder / PurePosixPath(file_name)


def _read_pushed(folder: Path, columns: Mapping[str, str]) -> Sets:
    """A data set that was pushed as parquet, by the package that reads those."""
    if importlib.util.find_spec("datasets") is None:
        raise ImportError(
            f"{folder} holds parquet files, which take the package datasets: pip install 'hf_eraser[data]'"
        )
    import datasets

    found = datasets.load_dataset(str(folder))
    if missing := [split for split in _REQUIRED if split not in found]:
        raise FileNotFoundError(f"{folder} has the splits {brief_names(found)}, and no {missing[0]!r}.")
    sets = {}
    for split in SPLITS:
        if split in found:
            # As bytes: `read_examples` opens them, one after the other.
            rows = [(f"{folder} {split}:{n}", row) for n, row in enumerate(_undecoded(found[split]), 1)]
            known = _known_columns(rows, f"{folder} {split}", columns, KEYS)
            sets[split] = [_read_row(row, where) for where, row in known]
    return sets


def _undecoded(rows: Any) -> Any:
    import datasets

    for name, feature in rows.features.items():
        if isinstance(feature, datasets.Image):
            rows = rows.cast_column(name, datasets.Image(decode=False))
        elif isinstance(getattr(feature, "feature", None), datasets.Image):
            rows = rows.cast_column(name, datasets.List(datasets.Image(decode=False)))
    return rows


def _read_row(row: dict[str, Any], where: str) -> dict[str, Any]:
    def picture(given: Any) -> bytes:
        data = given.get("bytes") if isinstance(given, dict) else None
        if data is None:
            raise ValueError(f"{where} has a picture that is not in the data set itself: {brief(given)}.")
        return bytes(data)

    row = {key: value for key, value in row.items() if value is not None}
    if "image" in row:
        row["image"] = picture(row["image"])
    if "images" in row:
        row["images"] = [picture(one) for one in row["images"]]
    return row

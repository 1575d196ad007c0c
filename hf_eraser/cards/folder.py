"""The folder of an adapter that is published: nothing of it is sent but what was read and written anew."""

from __future__ import annotations

import functools
import os
import re
import stat
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import CommitInfo
from huggingface_hub.utils import validate_repo_id

from ..evaluation.evaluation import Evaluation
from ..fitting.report.report import FitReport
from ..hub.adapter_folder import EVALUATION_FILE, PICTURE_FILE, REPORT_FILE
from ..hub.publishing import CARD_NAME, publish, write_config
from ..hub.rewriting import fields_of, published_config, rewrite_generation_config, rewrite_tensors
from ..hub.validation import CONFIG_NAME, HEADER_LIMIT, TENSORS_NAME
from ..tuner.config import SteeringAdapterConfig
from ..tuner.config_file import CONFIG_LIMIT
from ..tuner.layout import SIZE_LIMIT
from .card import gitattributes


_GENERATION_CONFIG = "generation_config.json"  # transformers' `save_pretrained` writes it beside an adapter

_LICENCES = ("LICENSE", "LICENSE.md", "LICENSE.txt")

# Nothing else is published: a picture or a text beside the adapter may be one of those that are to be forgotten.
# In bytes, the most that each may have.
_PUBLISHED = {
    CONFIG_NAME: CONFIG_LIMIT,
    TENSORS_NAME: SIZE_LIMIT + HEADER_LIMIT,
    REPORT_FILE: 1 << 22,
    PICTURE_FILE: 1 << 24,
    EVALUATION_FILE: 1 << 20,
    CARD_NAME: 1 << 20,
    ".gitattributes": 1 << 16,
    _GENERATION_CONFIG: 1 << 16,
    **dict.fromkeys(_LICENCES, 1 << 18),
}

_PICKLES = {".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"}

# Of the scores and the points of a report.
_MOST_SCORES, _MOST_POINTS = 256, 120


def check_adapter_folder(folder: str | os.PathLike[str]) -> list[str]:
    """
    Check that a folder holds a steering adapter and nothing that should not be published.

    Returns:
        The names of its files that are published.

    Raises:
        FileNotFoundError: If it is no adapter's folder.
        ValueError: If the adapter is broken, or the folder holds anything else than an adapter's files: other files,
            links, or in one of them what no save, fit or evaluation writes there.
    """
    with tempfile.TemporaryDirectory() as name:
        return _write_anew(Path(folder), Path(name))


def push_adapter_folder(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    commit_message: str | None = None,
    private: bool | None = None,
    token: bool | str | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> CommitInfo:
    """
    Upload the folder of a saved adapter in one commit, with its card: the repository gets all of it or nothing.

    No file is sent as it is but the card and a licence, which are your words: of each other one, what was read is
    written anew.

    Args:
        folder: The folder; see `check_adapter_folder` for what it may hold.
        repo_id, commit_message, private, token, revision, create_pr: As for `push_adapter`.

    Returns:
        The commit.

    Raises:
        FileNotFoundError: If it is no adapter's folder.
        ValueError: If it holds what is not published, or the adapter is broken; if `private` is asked for and the
            repository is public.
        huggingface_hub.errors.HfHubHTTPError: If the Hub refuses.
    """
    validate_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as name:
        files = _write_anew(Path(folder), Path(name))
        if CARD_NAME not in files:
            warnings.warn(
                f"{folder} has no {CARD_NAME}: unless the repository has one, the card that is published does not "
                "tell what the adapter forgets.",
                stacklevel=2,
            )
        return publish(
            Path(name),
            repo_id,
            commit_message=commit_message,
            private=private,
            token=token,
            revision=revision,
            create_pr=create_pr,
        )


def _write_anew(folder: Path, target: Path) -> list[str]:
    """Write into `target` what is published of `folder`; returns the names of the files."""
    for name in (CONFIG_NAME, TENSORS_NAME):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder} has no {name}: it is not the folder of an adapter.")
    strays = sorted(path.name for path in folder.iterdir() if path.name not in _PUBLISHED or path.is_dir())
    if pickles := [name for name in strays if Path(name).suffix.lower() in _PICKLES]:
        raise ValueError(f"{folder} holds {pickles}: a pickle runs code when it is opened, and is not published.")
    if strays:
        raise ValueError(
            f"{folder} holds {strays}, which are no files of an adapter and may tell what is to be forgotten. Move "
            f"them elsewhere; what is published is {sorted(_PUBLISHED)}."
        )
    for path in sorted(folder.iterdir()):
        (target / path.name).write_bytes(_read_own(path, _PUBLISHED[path.name]))
    try:
        config = published_config(target / CONFIG_NAME, folder / CONFIG_NAME)
        rewrite_tensors(target / TENSORS_NAME, target / CONFIG_NAME, fields_of(config))
        write_config(target / CONFIG_NAME, config)
        if (target / _GENERATION_CONFIG).exists():
            rewrite_generation_config(target / _GENERATION_CONFIG)
        if (target / EVALUATION_FILE).exists():
            Evaluation.from_json(target / EVALUATION_FILE).to_json(target / EVALUATION_FILE)
        _rewrite_report(target, fields_of(config))
    except ValueError as error:
        raise ValueError(str(error).replace(str(target), str(folder))) from error
    if (target / ".gitattributes").exists():
        (target / ".gitattributes").write_text(gitattributes(), encoding="utf-8")
    for name in (CARD_NAME, *_LICENCES):
        if (target / name).exists() and not _is_text((target / name).read_bytes()):
            raise ValueError(f"{folder / name} is no text in UTF-8: it is not published.")
    return sorted(path.name for path in target.iterdir())


def _read_own(path: Path, limit: int) -> bytes:
    """What a file holds that is no link to another, under whatever name."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a link to another file" if path.is_symlink() else "no regular file"
        raise ValueError(f"{path} is {kind}: it is not published. Copy what is to be published into the folder.")
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if status.st_nlink > 1:
            raise ValueError(
                f"{path} is the same file as one elsewhere on this disk (a hard link): it is not published. Copy what "
                "is to be published into the folder."
            )
        if status.st_size > limit:
            raise ValueError(f"{path} has {status.st_size} bytes, at most {limit} are published.")
        return file.read(status.st_size)


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode("utf-8")
    except ValueError:
        return False


def _rewrite_report(target: Path, config: SteeringAdapterConfig) -> None:
    """The report as a fit writes it, and its picture drawn from that."""
    path, picture = target / REPORT_FILE, target / PICTURE_FILE
    if not path.exists():
        if picture.exists():
            raise ValueError(f"{picture} is drawn from no {REPORT_FILE} here: it is not published.")
        return
    report = FitReport.from_json(path)
    report.adapter_name = "default"  # the owner's word for it
    _check_report(path, report, config)
    report.to_json(path)
    if picture.exists():
        picture.unlink()
        try:
            report.plot().savefig(picture)
        except ImportError as error:
            warnings.warn(f"{PICTURE_FILE} is not published, since it cannot be drawn anew. {error}", stacklevel=4)


def _check_report(path: Path, report: FitReport, config: SteeringAdapterConfig) -> None:
    values = report.to_dict()
    for name, version in values.pop("versions").items():
        if not re.fullmatch(r"[\w.+!-]{1,64}", f"{name}{version}", re.ASCII):
            raise ValueError(f"{path}: `versions` holds what no fit writes there, {name!r}. It is not published.")
    for scores in report.scores:
        counts = [len(scores.forget), len(scores.retained)]
        points = [*scores.forget_points, *scores.retained_points]
        if max(counts) > _MOST_SCORES or len(points) > 2 * _MOST_POINTS or any(len(point) != 2 for point in points):
            raise ValueError(f"{path}: `scores` holds more than a fit writes there. It is not published.")
    for name, text in _texts(values):
        known = text if config.answer is None else text.replace(config.answer, "")
        if foreign := [word for word in re.findall(r"[^\W\d_]+", known) if word.lower() not in _words()]:
            raise ValueError(
                f"{path}: `{name}` holds words that no fit writes there, {foreign[:3]}. It is not published: remove "
                "the file, or have the adapter fitted again."
            )


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """All texts in a value, keys as well, with the name of the field that they are in."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield name or str(key), str(key)
            yield from _texts(item, name or str(key))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item, name)


@functools.cache
def _words() -> frozenset[str]:
    """The words of this package's source, of which every text that a fit writes is made."""
    sources = Path(__file__).parents[1].rglob("*.py")
    return frozenset(
        word.lower() for source in sources for word in re.findall(r"[^\W\d_]+", source.read_text(encoding="utf-8"))
    )

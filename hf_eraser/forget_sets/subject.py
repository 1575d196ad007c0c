"""Example sets about people, brands, artists and topics, of their names and pictures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ..data.imagefolder import pictures_in
from .kinds import ABOUT_THINGS, ARTISTS, BRANDS, PEOPLE, TOPICS, Kind, Wording


# So many questions are asked of each one's pictures, of each retained picture, and about each retained name.
_OF_PICTURES, _OF_OTHER, _OF_NAME = 160, 8, 12

# What a picture of somebody without a sub-folder is a group by.
_UNNAMED = "photo "

# With fewer others than this a gate hardly learns what tells one's pictures from theirs.
_FEW_OTHERS = 10


@dataclass(frozen=True)
class Subject:
    """
    What is to be forgotten: a `Person`, a `Brand`, an `Artist` or a `Topic`.

    Args:
        name: The name, as the model would say it.
        pictures: Pictures of nothing else, as `hf_eraser.data.open_image` takes them; a folder's path stands for those
            in it. Without any, the subject is forgotten by name alone.
        also_known_as: Further names, such as a stage name.
        near: Names that are like it and are to be kept: namesakes, relatives, what lies next to a topic.

    Raises:
        ValueError: If there is no name, or a list of names is none.
    """

    name: str
    pictures: str | Path | Sequence[Any] = ()
    also_known_as: Sequence[str] = ()
    near: Sequence[str] = ()

    kind: ClassVar[Kind]

    def __post_init__(self) -> None:
        check_text("name", self.name)
        for argument in ("also_known_as", "near"):
            check_texts(argument, getattr(self, argument), "names")

    @property
    def names(self) -> list[str]:
        """All names, the main one first."""
        return list(dict.fromkeys([self.name.strip(), *(alias.strip() for alias in self.also_known_as)]))


class Person(Subject):
    """Somebody, private or in public life."""

    kind = PEOPLE


class Brand(Subject):
    """A brand, with its products and marks."""

    kind = BRANDS


class Artist(Subject):
    """An artist, with works and style."""

    kind = ARTISTS


class Topic(Subject):
    """Something that can be talked about; it has no pictures."""

    kind = TOPICS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pictures:
            raise ValueError("`pictures` of a topic cannot be asked about: give them as examples to `fit`.")


def check_text(argument: str, given: Any) -> None:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"`{argument}` must be a text that is not empty, got {given!r}.")


def check_texts(argument: str, given: Any, what: str) -> None:
    if isinstance(given, str) or not all(isinstance(one, str) and one.strip() for one in given):
        raise ValueError(f"`{argument}` must be a list of {what}, got {given!r}.")


def forget_examples(subject: Subject) -> list[dict[str, Any]]:
    """
    The questions about a subject: of each picture, and by each name. `answer` is there where its name is asked for.

    Raises:
        FileNotFoundError: If a folder of pictures is not there or has none.
    """
    kind = subject.kind
    common = {"group": subject.name, "concept": subject.name}
    pictures = pictures_of(subject.pictures, "pictures")
    asked = []
    for picture, wording in _spread(pictures, kind.by_picture, _OF_PICTURES):
        answer = {"answer": subject.names} if wording.about in kind.identity else {}
        asked.append({"image": picture, **_asked(wording), **common, **answer})
    return asked + [{**_asked(wording, name), **common} for name in subject.names for wording in kind.by_name]


def retain_examples(subjects: Sequence[Subject], others: str | Path | Sequence[Any]) -> list[dict[str, Any]]:
    """
    What is kept: others, by picture and, if their sub-folder is called so, by name; names like those that are
    forgotten; and what everybody knows.

    Args:
        subjects: What is forgotten.
        others: Pictures of others of the kind: a folder, in which a sub-folder holds those of one, or a list.

    Raises:
        FileNotFoundError: If a folder of pictures is not there or has none.
    """
    pictures = pictures_of(others, "others")
    groups = [_group(picture, others, i) for i, picture in enumerate(pictures)]
    kinds = list(dict.fromkeys(type(subject) for subject in subjects))
    asked: list[dict[str, Any]] = []
    for sort in kinds:
        of_kind = [subject for subject in subjects if isinstance(subject, sort)]
        if any(pictures_of(subject.pictures, "pictures") for subject in of_kind):
            _warn_of_few(sort.kind, len(set(groups)))
            for i, (picture, group) in enumerate(zip(pictures, groups)):
                for wording in _turn(sort.kind.by_picture, i, _OF_OTHER):
                    asked.append({"image": picture, **_asked(wording), "group": group})
        # What has a sub-folder has a name, which the model may know.
        named = [group for group in dict.fromkeys(groups) if " " in group and not group.startswith(_UNNAMED)]
        for i, name in enumerate(dict.fromkeys([*named, *names_beside(of_kind)])):
            for wording in _turn(sort.kind.by_name, i, _OF_NAME):
                asked.append({**_asked(wording, name), "group": name})
    return asked + [{"prompt": question, "group": question} for question in ABOUT_THINGS]


def names_beside(subjects: Sequence[Subject]) -> list[str]:
    """
    Names like those of subjects of one kind: those that they name, theirs with one part another, and well-known ones.

    None of the forgotten is among them, nor, of what is well known, anything that has one of their words in it.
    """
    taken = {name.casefold() for subject in subjects for name in subject.names}
    kind = subjects[0].kind
    found: list[str] = []
    for subject in subjects:
        found += [name.strip() for name in subject.near]
        first, _, last = subject.name.strip().rpartition(" ")
        found += [f"{first or last} {other}" for other in kind.last_parts]
        found += [f"{other} {last}" for other in kind.first_parts if first]
    words = {word for name in taken for word in name.split() if len(word) > 3}
    if not kind.first_parts:
        found += [name for name in kind.well_known if words.isdisjoint(name.casefold().split())]
    else:
        found += kind.well_known
    return [name for name in dict.fromkeys(found) if name.casefold() not in taken]


def _warn_of_few(kind: Kind, count: int) -> None:
    if count < _FEW_OTHERS:
        warnings.warn(
            f"There are pictures of {count} others: the gate then learns {kind.without_others}, and the model will "
            f"refuse about all of them. Give pictures of {_FEW_OTHERS} others or more (`others`), as alike as can be.",
            stacklevel=4,
        )


def pictures_of(given: Any, argument: str) -> list[Any]:
    """Pictures as a list: those in a folder, or as they are."""
    if not isinstance(given, (str, Path)):
        return list(given)
    folder = Path(given).expanduser()
    found = pictures_in(folder) if folder.is_dir() else []
    if not found:
        what = "has no pictures" if folder.is_dir() else "is no folder"
        raise FileNotFoundError(f"`{argument}`: {str(folder)!r} {what}. Give a folder of pictures.")
    return list(found)


def _group(picture: Any, others: Any, number: int) -> str:
    """What a picture shows: what has a sub-folder, or else something on that picture alone."""
    if isinstance(picture, Path) and isinstance(others, (str, Path)):
        inside = picture.relative_to(Path(others).expanduser())
        return inside.parts[0] if len(inside.parts) > 1 else f"{_UNNAMED}{inside}"
    return f"{_UNNAMED}{number}"


def _asked(wording: Wording, name: str | None = None) -> dict[str, Any]:
    return {"prompt": wording.text if name is None else wording.text.replace("{}", name), "wording": wording.key}


def _spread(pictures: Sequence[Any], wordings: Sequence[Wording], most: int) -> list[tuple[Any, Wording]]:
    """Every picture with every wording, or of many pictures each with as many as there is room for."""
    each = max(min(len(wordings), most // max(len(pictures), 1)), 4)
    return [(picture, wording) for i, picture in enumerate(pictures) for wording in _turn(wordings, i * each, each)]


def _turn(wordings: Sequence[Wording], start: int, count: int) -> list[Wording]:
    """So many wordings from one on, going round, spread over what they are about."""
    step = next(step for step in (11, 13, 17, 19) if math.gcd(step, len(wordings)) == 1)  # so that all come by
    return [wordings[(start + step * i) % len(wordings)] for i in range(min(count, len(wordings)))]

"""Example sets about people, of their photos and names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.imagefolder import pictures_in
from .questions import ABOUT_THINGS, BY_NAME, BY_PHOTO, FIRST_NAMES, IDENTITY, LAST_NAMES, WELL_KNOWN, Wording


# So many questions are asked of each person's photos, of each retained photo, and about each retained name.
_OF_PHOTOS, _OF_OTHER, _OF_NAME = 160, 8, 12

# What a photo of somebody without a sub-folder is a group by.
_UNNAMED = "photo "

# With fewer other people than this a gate hardly learns what tells hers from other faces.
_FEW_OTHERS = 10


@dataclass(frozen=True)
class Person:
    """
    Somebody who is to be forgotten.

    Args:
        name: The name, as the model would say it.
        photos: Pictures of nobody else, as `hf_eraser.data.open_image` takes them; a folder's path stands for those
            in it. Without any, the person is forgotten by name alone.
        also_known_as: Further names, such as a stage name.
    """

    name: str
    photos: str | Path | Sequence[Any] = ()
    also_known_as: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise ValueError(f"`name` must be a text that is not empty, got {self.name!r}.")
        aliases = self.also_known_as
        if isinstance(aliases, str) or not all(isinstance(alias, str) and alias.strip() for alias in aliases):
            raise ValueError(f"`also_known_as` must be a list of names, got {aliases!r}.")

    @property
    def names(self) -> list[str]:
        """All names, the main one first."""
        return list(dict.fromkeys([self.name.strip(), *(alias.strip() for alias in self.also_known_as)]))


def forget_examples(person: Person) -> list[dict[str, Any]]:
    """
    The questions about a person: of each photo, and by each name. `answer` is there where it is who it is.

    Raises:
        FileNotFoundError: If a folder of photos is not there or has none.
    """
    photos = photos_of(person.photos, "photos")
    common = {"group": person.name, "concept": person.name}
    asked = [
        {"image": photo, **_asked(wording), **common, **({"answer": person.names} if _is_identity(wording) else {})}
        for photo, wording in _spread(photos, BY_PHOTO, _OF_PHOTOS)
    ]
    return asked + [{**_asked(wording, name), **common} for name in person.names for wording in BY_NAME]


def retain_examples(people: Sequence[Person], others: str | Path | Sequence[Any]) -> list[dict[str, Any]]:
    """
    What is kept: others, by photo and, if their sub-folder is called so, by name; names like those that are forgotten;
    people and things that everybody knows.

    Args:
        people: Those who are forgotten.
        others: Photos of other people: a folder, in which a sub-folder holds those of one person, or a list.

    Raises:
        FileNotFoundError: If a folder of photos is not there or has none.
    """
    photos = photos_of(others, "others")
    groups = [_group(photo, others, i) for i, photo in enumerate(photos)]
    if any(photos_of(person.photos, "photos") for person in people) and len(set(groups)) < _FEW_OTHERS:
        warnings.warn(
            f"There are photos of {len(set(groups))} other people: the gate then learns ANY FACE, and the model will "
            f"refuse about everybody's. Give photos of {_FEW_OTHERS} others or more (`others`), as alike as can be.",
            stacklevel=3,
        )
    asked = []
    for i, (photo, group) in enumerate(zip(photos, groups)):
        for wording in _turn(BY_PHOTO, i, _OF_OTHER):
            asked.append({"image": photo, **_asked(wording), "group": group})
    # Who has a sub-folder has a name, which the model may know.
    named = [group for group in dict.fromkeys(groups) if " " in group and not group.startswith(_UNNAMED)]
    for i, name in enumerate(dict.fromkeys([*named, *names_beside(people)])):
        for wording in _turn(BY_NAME, i, _OF_NAME):
            asked.append({**_asked(wording, name), "group": name})
    return asked + [{"prompt": question, "group": question} for question in ABOUT_THINGS]


def names_beside(people: Sequence[Person]) -> list[str]:
    """Names like those of the forgotten, with one part another, and of well-known people; none of the forgotten."""
    taken = {name.casefold() for person in people for name in person.names}
    found: list[str] = []
    for person in people:
        first, _, last = person.name.strip().rpartition(" ")
        if first:
            found += [f"{first} {other}" for other in LAST_NAMES] + [f"{other} {last}" for other in FIRST_NAMES]
        else:
            found += [f"{last} {other}" for other in LAST_NAMES]
    return [name for name in dict.fromkeys([*found, *WELL_KNOWN]) if name.casefold() not in taken]


def photos_of(given: Any, argument: str) -> list[Any]:
    """Photos as a list: those in a folder, or as they are."""
    if not isinstance(given, (str, Path)):
        return list(given)
    folder = Path(given).expanduser()
    found = pictures_in(folder) if folder.is_dir() else []
    if not found:
        what = "has no pictures" if folder.is_dir() else "is no folder"
        raise FileNotFoundError(f"`{argument}`: {str(folder)!r} {what}. Give a folder of photos.")
    return list(found)


def _group(photo: Any, others: Any, number: int) -> str:
    """Whom a photo shows: who has a sub-folder, or else somebody on that photo alone."""
    if isinstance(photo, Path) and isinstance(others, (str, Path)):
        inside = photo.relative_to(Path(others).expanduser())
        return inside.parts[0] if len(inside.parts) > 1 else f"{_UNNAMED}{inside}"
    return f"{_UNNAMED}{number}"


def _asked(wording: Wording, name: str | None = None) -> dict[str, Any]:
    return {"prompt": wording.text if name is None else wording.text.replace("{}", name), "wording": wording.key}


def _is_identity(wording: Wording) -> bool:
    return wording.about in IDENTITY


def _spread(photos: Sequence[Any], wordings: Sequence[Wording], most: int) -> list[tuple[Any, Wording]]:
    """Every photo with every wording, or of many photos each with as many as there is room for."""
    each = max(min(len(wordings), most // max(len(photos), 1)), 4)
    return [(photo, wording) for i, photo in enumerate(photos) for wording in _turn(wordings, i * each, each)]


def _turn(wordings: Sequence[Wording], start: int, count: int) -> list[Wording]:
    """So many wordings from one on, going round, spread over what they are about."""
    step = 11  # coprime to how many there are, so that all come by
    return [wordings[(start + step * i) % len(wordings)] for i in range(min(count, len(wordings)))]

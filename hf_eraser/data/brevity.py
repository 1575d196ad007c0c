"""What somebody gave, in so few characters that a message about it stays one line."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80
_REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxdict = 4
_REPR.maxlevel = 3

_MOST_NAMES = 12
_MOST_CHARACTERS = 160


def brief(value: Any) -> str:
    """
    The `repr` of a value, cut in the middle.

    >>> brief("Who is this? " * 1000)
    "'Who is this? Who is this? Who is thi...is? Who is this? Who is this? '"
    """
    return one_line(_REPR.repr(value))


def one_line(text: object) -> str:
    """
    What another library says, on one line and cut.

    >>> one_line(ValueError("no\\n  such file"))
    'no such file'
    """
    line = " ".join(str(text)[: 8 * _MOST_CHARACTERS].split())
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def brief_names(names: Iterable[Any]) -> str:
    """
    The first of the names, sorted, as a list.

    >>> brief_names(["question", "id"])
    "['id', 'question']"
    """
    every = sorted({str(name) for name in names})
    shown = ", ".join(brief(name) for name in every[:_MOST_NAMES])
    return f"[{shown}{', ...' if len(every) > _MOST_NAMES else ''}]"

"""What there is to know of a kind of thing that can be forgotten: how it is asked about, and what is like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """
    One way to ask.

    Attributes:
        about: What is asked for, such as "name".
        text: The question, with `{}` where a name goes if it is asked by name.
    """

    about: str
    text: str

    @property
    def key(self) -> str:
        """The wording of an example, the same for all that is asked about in it."""
        return self.text.replace("{}", "...")


@dataclass(frozen=True)
class Kind:
    """
    A kind of thing.

    Attributes:
        by_picture, by_name: Ways to ask about one.
        identity: What has to be asked for, so that the answer is its name.
        made_up: Names of nothing: what a model answers about them, it makes up.
        well_known: Names that models know, to be kept.
        without_others: What a gate learns from pictures when none of others are retained.
        first_parts, last_parts: Parts by which further names are made of one's own.
    """

    by_picture: tuple[Wording, ...]
    by_name: tuple[Wording, ...]
    identity: tuple[str, ...]
    made_up: tuple[str, ...]
    well_known: tuple[str, ...]
    without_others: str = ""
    first_parts: tuple[str, ...] = ()
    last_parts: tuple[str, ...] = ()


def wordings(texts: Mapping[str, Sequence[str]]) -> tuple[Wording, ...]:
    """Wordings by what they ask for."""
    return tuple(Wording(about, text) for about, of_it in texts.items() for text in of_it)

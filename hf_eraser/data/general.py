"""
General traffic: what a model is asked all day that has nothing to do with what is to be forgotten.

The texts are in `general_prompts.json`, all of them written for this purpose: short ones as they are, long ones as
building blocks that are composed from a seed, so that the wheel stays small. Pictures are drawn when they are asked
for. Equal versions give equal texts; the pixels of pictures also depend on the version of Pillow, which draws letters
and round edges.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


# To be raised with each change of the texts or of how they are composed: adapters say which set they were fitted with.
GENERAL_VERSION = "1"

_STORED = Path(__file__).with_name("general_prompts.json")

_SLOT = re.compile(r"«([^«»\s]+)»")


def general_examples(with_images: bool = True) -> list[dict[str, Any]]:
    """
    The shipped set, the same at each call.

    Args:
        with_images: Whether to draw the pictures and give the questions about them too.

    Returns:
        Examples as `hf_eraser.data.read_examples` takes them, each with `group`: one for each prompt of its own, one
        for all long prompts that are made of the same building blocks, and one for all pictures of one kind.
    """
    entries = general_entries(with_images)
    return [{key: value for key, value in entry.items() if key not in ("kind", "language")} for entry in entries]


def general_entries(with_images: bool = True) -> list[dict[str, Any]]:
    """
    What `general_examples` gives, each with `kind` (such as "code", "long" or "picture") and `language` (ISO 639-1).
    """
    if not with_images:
        return entries_of(_STORED, "general", None)
    # Pillow and NumPy are needed for pictures only.
    from .general_pictures import draw

    return entries_of(_STORED, "general", draw)


def entries_of(file: Path, name: str, draw: Callable[[str, int], Any] | None) -> list[dict[str, Any]]:
    """
    The prompts of a stored set, the same at each call.

    Args:
        file: The set: JSON with `prompts`, `documents` (see `compose`) and `pictures`.
        name: Its name, with which each group begins.
        draw: Draws the picture of a drawer and number; None leaves out the questions about pictures.
    """
    stored = json.loads(file.read_text(encoding="utf-8"))
    entries = [{**entry, "group": f"{name}/{entry['kind']}/{i}"} for i, entry in enumerate(stored["prompts"])]
    for document in stored["documents"]:
        entries += [{**entry, "group": f"{name}/long/{document['family']}"} for entry in compose(document)]
    if draw is None:
        return entries
    for drawn in stored["pictures"]:
        group = f"{name}/picture/{drawn['drawer']}"
        for i, question in enumerate(drawn["questions"]):
            entries.append({"image": draw(drawn["drawer"], i), **question, "kind": "picture", "group": group})
    return entries


def compose(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """
    Compose long prompts from the building blocks of one family.

    Args:
        document: `family` (its name, also the seed), `language`, `lengths` (of the composed part, in characters),
            `chats` (one for each length: a text, or messages) and `rules`, which say by what a slot «name» may be
            replaced. «body» is lines made by the rule `line` up to that length; «3..9» and «0.5..2.5» are numbers,
            «#» counts, «clock» is a time of the day that goes on, «name!» stays the same throughout and «name~» within
            a line, and «^name» begins with a capital.

    Returns:
        An entry for each length, with `prompt` or `messages`, `kind` "long" and `language`.

    Raises:
        KeyError: If a slot has no rule.
    """
    entries: list[dict[str, Any]] = []
    for i, (chat, length) in enumerate(zip(document["chats"], document["lengths"])):
        composer = _Composer(document["rules"], f"{document['family']} {i}", length)
        described = {"kind": "long", "language": document["language"]}
        if isinstance(chat, str):
            entries.append({"prompt": composer.fill(chat), **described})
        else:
            messages = [{**message, "content": composer.fill(message["content"])} for message in chat]
            entries.append({"messages": messages, **described})
    return entries


class _Composer:
    """Fills slots, from a seed of its own. No choice comes again before all others of its rule have had their turn."""

    def __init__(self, rules: Mapping[str, list[str]], seed: str, length: int) -> None:
        self._rules = rules
        self._rng = random.Random(seed)
        self._length = length
        self._left: dict[str, list[str]] = {}
        self._of_document: dict[str, str] = {}
        self._of_line: dict[str, str] = {}
        self._count = 0
        self._minutes = self._rng.randrange(360, 600)

    def fill(self, template: str) -> str:
        return _SLOT.sub(lambda found: self._value(found[1]), template)

    def _value(self, slot: str) -> str:
        if slot == "#":
            self._count += 1
            return str(self._count)
        if slot == "clock":
            self._minutes = (self._minutes + self._rng.randrange(1, 12)) % 1440
            return f"{self._minutes // 60:02}:{self._minutes % 60:02}"
        if ".." in slot:
            low, _, high = slot.partition("..")
            places = len(low.partition(".")[2])
            drawn = self._rng.randint(round(float(low) * 10**places), round(float(high) * 10**places))
            return f"{drawn / 10**places:.{places}f}"
        if slot == "body":
            return self._body()
        if slot.startswith("^"):
            value = self._value(slot[1:])
            return value[:1].upper() + value[1:]
        if slot[-1] in "!~":
            held = self._of_document if slot[-1] == "!" else self._of_line
            if slot not in held:
                held[slot] = self._chosen(slot[:-1])
            return held[slot]
        return self._chosen(slot)

    def _chosen(self, rule: str) -> str:
        if not self._left.get(rule):
            self._left[rule] = self._rng.sample(self._rules[rule], len(self._rules[rule]))
        return self.fill(self._left[rule].pop())

    def _body(self) -> str:
        join = self._rules["join"][0] if "join" in self._rules else "\n"
        lines = [self.fill(head) for head in self._rules.get("head", [])]
        while sum(map(len, lines)) < self._length:
            self._of_line.clear()
            lines.append(self._chosen("line"))
        # Prose is joined by spaces, but its paragraphs are not to begin with one.
        return join.join(lines).replace("\n ", "\n") if join == " " else join.join(lines)

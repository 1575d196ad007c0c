"""Forget, retain, recall and refusal examples, checked on the way in and brought into one form."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .brevity import brief, brief_names
from .chats import PLACEHOLDER, Chat, read_chat, read_picture
from .pictures import Look, look_at, open_image


# What asks: one of these has to be there.
_ASKING = ("prompt", "messages", "conversations")

KEYS = {
    *_ASKING,
    *("image", "images", "completion", "continue_final_message", "group", "wording", "answer", "concept"),
}

# What other tables call the same.
_ELSEWHERE = {
    **dict.fromkeys(("question", "query", "instruction", "text", "input"), "prompt"),
    **dict.fromkeys(("answers", "response", "output", "label", "solution"), "answer"),
    **dict.fromkeys(("file_name", "image_path", "photo", "picture", "img"), "image"),
    **dict.fromkeys(("name", "person", "groups"), "group"),
}


@dataclass(frozen=True)
class Example:
    """
    One question to the model, with or without pictures.

    Attributes:
        messages: The chat up to the question. Contents are lists of parts of type text and image; pictures are what
            `open_image` opens.
        group: Whom or what the question is about. Examples of one group are never on both sides of a split.
        wording: How it is asked. Examples of one wording are never on both sides of a split either.
        answers: The right answers, each of which is to be forgotten; none if none is given.
        key: A digest of pictures and text, equal for equal examples.
        grouped: Whether the group was given, and not made up from the picture.
        concept: What is forgotten with it, with a direction and a gate of its own; None where there is but one.
        looks: What its pictures, in order, were when they were read.
    """

    messages: tuple[Mapping[str, Any], ...]
    group: Hashable
    wording: Hashable
    answers: tuple[str, ...]
    key: str
    grouped: bool
    concept: Hashable = None
    looks: tuple[Look, ...] = ()

    @property
    def answer(self) -> str | None:
        """The first of the right answers."""
        return self.answers[0] if self.answers else None

    @property
    def images(self) -> list[Any]:
        """The pictures, in order."""
        return [part["image"] for message in self.messages for part in parts_of(message) if part["type"] == "image"]

    def with_images(self, images: Iterable[Any]) -> Example:
        """The same question about other pictures, one for each that it has."""
        replacements = iter(images)
        messages = tuple(
            {
                **message,
                "content": [
                    {"type": "image", "image": next(replacements)} if part["type"] == "image" else part
                    for part in parts_of(message)
                ],
            }
            for message in self.messages
        )
        return replace(self, messages=messages)

    @property
    def begun(self) -> bool:
        """Whether the chat ends with the beginning of an answer, which the model is to go on with."""
        return bool(self.messages[-1]["role"] == "assistant")

    def reworded(self, reword: Callable[[str], str]) -> Example:
        """The same question with the last text of its user put in other words; as it is, if there is none."""
        for m, message in reversed(list(enumerate(self.messages))):
            parts = list(parts_of(message))
            for p, part in reversed(list(enumerate(parts))):
                if message["role"] == "user" and part["type"] == "text":
                    parts[p] = {**part, "text": reword(part["text"])}
                    changed = {**message, "content": parts}
                    return replace(self, messages=(*self.messages[:m], changed, *self.messages[m + 1 :]))
        return self

    def with_answer_begun(self, text: str) -> Example:
        """The same question with the beginning of an answer."""
        answer = {"role": "assistant", "content": [{"type": "text", "text": text}]}
        return replace(self, messages=(*self.messages, answer))

    def asked_after(self, other: Example, answer: str) -> Example:
        """The same question in a chat in which that of `other` was answered before."""
        said = {"role": "assistant", "content": [{"type": "text", "text": answer}]}
        system = [message for message in self.messages if message["role"] == "system"]
        asked = [message for message in self.messages if message["role"] != "system"]
        before = [message for message in other.messages if message["role"] != "system"]
        return replace(self, messages=(*system, *before, said, *asked))

    def with_changed_images(self, change: Callable[[Image.Image], Image.Image]) -> Example:
        """The same question about changed pictures."""
        return self.with_images([change(open_image(image)) for image in self.images])

    def with_text_added(self, text: str) -> Example:
        """The same question with `text` behind its last message."""
        *earlier, last = self.messages
        content = [*parts_of(last), {"type": "text", "text": text}]
        return replace(self, messages=(*earlier, {**last, "content": content}))


def read_examples(examples: Iterable[Mapping[str, Any]], argument: str) -> list[Example]:
    """
    Check examples and bring them into one form. Every picture is opened once, and held only while it is looked at.

    Args:
        examples: Each `{"image": picture, "prompt": str}`, `{"messages": [...]}` or `{"conversations": [...]}`, and
            optionally `"images"` (a list of pictures beside it), `"group"`, `"wording"` and `"concept"` (hashable) and
            `"answer"` (a text, or a list of right ones). A picture is what `picture_of` takes. A chat that ends with a
            whole answer has it as its `"answer"`; with `"continue_final_message": True` it is the beginning of one.
        argument: The name of the argument they came in, for messages.

    Raises:
        TypeError: If an example is not of that form.
        ValueError: If there are none, or a picture cannot be read.
    """
    if isinstance(examples, (str, bytes, Mapping)) or not isinstance(examples, Iterable):
        raise TypeError(
            f"`{argument}` must be a list of examples such as {{'image': ..., 'prompt': '...'}}, "
            f"got {type(examples).__name__}."
        )
    # An address in rows that somebody else wrote is not followed.
    addresses = not type(examples).__module__.startswith("datasets.")
    given = list(examples)
    _check_keys(given, argument)
    looks: dict[Any, Look] = {}
    read = [_read_example(example, f"{argument}[{i}]", looks, addresses) for i, example in enumerate(given)]
    if not read:
        raise ValueError(f"`{argument}` is empty: at least one example is needed.")
    if animated := sum(look.animated for look in looks.values()):
        warnings.warn(f"Of {animated} animated pictures in `{argument}` only the first frame is used.", stacklevel=3)
    return read


def check_label(value: Any, where: str) -> None:
    """
    Whether something may name a group, a wording or a concept: it has to be equal to itself, also when it was written
    and read, and to nothing else.

    Raises:
        TypeError: If not.
    """
    try:
        hash(value)
    except TypeError:
        raise TypeError(f"`{where}` must be hashable, got {type(value).__name__}.") from None
    if isinstance(value, (bool, float, np.bool_, np.floating)):
        raise TypeError(f"`{where}` must be a text or a whole number, got {brief(value)}.")


def _check_keys(examples: Sequence[Any], argument: str) -> None:
    """All that cannot be used is named at once, with what it may be meant as."""
    first: dict[str, int] = {}
    for i, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise TypeError(f"`{argument}[{i}]` must be a dict with 'prompt' or 'messages', got {brief(example)}.")
        for key in example.keys() - KEYS:
            first.setdefault(str(key), i)
    if not first:
        return
    raise TypeError(
        f"`{argument}[{min(first.values())}]` has unknown keys {brief_names(first)}. {meant_by(first)} what is none "
        f"of {sorted(KEYS)}."
    )


def meant_by(unknown: Iterable[str], picture: str = "image") -> str:
    """
    What to do with columns that are not known, as the beginning of a sentence.

    >>> meant_by(["question", "id"])
    "Rename 'question' to 'prompt', and drop"
    """
    known = {**_ELSEWHERE, **{key: picture for key, to in _ELSEWHERE.items() if to == "image"}}
    meant = [f"{key!r} to {known[key]!r}" for key in sorted(unknown) if key in known and key != known[key]]
    return f"Rename {', '.join(meant)}, and drop" if meant else "Drop"


def _read_example(example: Mapping[str, Any], where: str, looks: dict[Any, Look], addresses: bool) -> Example:
    example = {key: value for key, value in example.items() if value is not None}
    chat = _read_chat(example, where, addresses)
    answers = _answers(example.get("answer", chat.answer), where)
    text, pictures = hashlib.sha256(), hashlib.sha256()
    seen = []
    for message in chat.messages:
        text.update(repr(message["role"]).encode())
        for part in message["content"]:
            text.update(repr(_encodable(part.get("text", part["type"]), where)).encode())
            if part["type"] == "image":
                seen.append(_look(part["image"], where, looks))
                pictures.update(seen[-1].digest)
    for name in ("group", "wording", "concept"):
        check_label(example.get(name), f"{where}[{name!r}]")
    group = example.get("group")
    made_up = pictures.hexdigest() if seen else text.hexdigest()
    return Example(
        messages=chat.messages,
        group=made_up if group is None else group,
        wording=example.get("wording", text.hexdigest()),
        answers=answers,
        key=text.hexdigest() + pictures.hexdigest(),
        grouped=group is not None,
        concept=example.get("concept"),
        looks=tuple(seen),
    )


def _read_chat(example: Mapping[str, Any], where: str, addresses: bool) -> Chat:
    asking = [key for key in _ASKING if key in example]
    if len(asking) != 1:
        raise TypeError(
            f"`{where}` must have one of 'prompt', 'messages' and 'conversations', got {brief_names(example)}."
        )
    (key,) = asking
    if "image" in example and "images" in example:
        raise TypeError(f"`{where}` has 'image' and 'images': put all pictures into 'images'.")
    images = example.get("images", [example["image"]] if "image" in example else None)
    if images is not None and (isinstance(images, (str, bytes, Mapping)) or not isinstance(images, Sequence)):
        raise TypeError(f"`{where}['images']` must be a list of pictures, got {brief(images)}.")
    named = [where] if "image" in example else [f"{where}['images'][{i}]" for i in range(len(images or ()))]
    beside = None if images is None else [read_picture(*given, addresses) for given in zip(images, named)]
    begun = example.get("continue_final_message", False)
    if not isinstance(begun, bool):
        raise TypeError(f"`{where}['continue_final_message']` must be True or False, got {brief(begun)}.")
    asked = example[key]
    if key == "prompt" and not isinstance(asked, list):
        if not isinstance(asked, str) or not asked.strip():
            raise TypeError(f"`{where}['prompt']` must be a text that is not empty, got {brief(asked)}.")
        if begun:
            raise TypeError(f"`{where}` has a 'prompt', which begins no answer: give 'messages' that end with it.")
        pictures = [{"type": "image", "image": picture} for picture in beside or ()]
        chat = Chat(({"role": "user", "content": [*pictures, {"type": "text", "text": asked}]},), None)
    else:
        chat = read_chat(asked, f"{where}[{key!r}]", images=beside, begun=begun, addresses=addresses)
    has_picture = any(part["type"] == "image" for message in chat.messages for part in message["content"])
    texts = [part["text"] for message in chat.messages for part in message["content"] if part["type"] == "text"]
    if has_picture and any(PLACEHOLDER in text for text in texts):
        raise ValueError(
            f"`{where}[{key!r}]` has the placeholder {PLACEHOLDER!r} in its words: leave it out, the processor puts "
            "one where the picture is."
        )
    completion = example.get("completion")
    if completion is None:
        return chat
    if isinstance(completion, list):
        said = read_chat([*chat.messages, *completion], f"{where}['completion']", images=None, addresses=False)
        return replace(chat, answer=said.answer)
    return replace(chat, answer=completion)


def _answers(given: Any, where: str) -> tuple[str, ...]:
    several = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    # A table of answers may hold "1984" as a number.
    if not all(isinstance(one, (str, int)) and not isinstance(one, bool) for one in several):
        raise TypeError(f"`{where}['answer']` must be a text, or a list of the right ones, got {brief(given)}.")
    # A table has an empty cell where there is no answer; an empty answer would be held by each.
    return tuple(dict.fromkeys(text for text in map(str, several) if text.strip()))


def _encodable(text: str, where: str) -> str:
    """A text, if it can be written as bytes: half a character, as broken decoding leaves it, no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"`{where}` has a text with {text[error.start]!r}, which is half a character.") from None
    return text


def _look(image: Any, where: str, looks: dict[Any, Look]) -> Look:
    # What is no path is told by its identity: the example holds it.
    key = image if isinstance(image, Path) else id(image)
    if key not in looks:
        try:
            looks[key] = look_at(image)
        except (TypeError, ValueError) as error:
            raise type(error)(f"The picture of `{where}` {error}") from error
    return looks[key]


def parts_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a message's content, which chat templates also take as one text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def check_disjoint(forget: Sequence[Example], retain: Sequence[Example]) -> None:
    """
    Raises:
        ValueError: If an example is in both sets.
    """
    forgotten = {example.key: i for i, example in enumerate(forget)}
    for i, example in enumerate(retain):
        if example.key in forgotten:
            raise ValueError(
                f"`forget[{forgotten[example.key]}]` and `retain[{i}]` are the same example: it cannot be forgotten "
                "and retained."
            )

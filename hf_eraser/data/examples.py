"""Forget, retain, recall and refusal examples, checked on the way in and brought into one form."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import PIL.Image
from PIL import Image

from .pictures import open_image


_KEYS = {"image", "prompt", "messages", "group", "wording", "answer", "concept"}


@dataclass(frozen=True)
class Example:
    """
    One question to the model, with or without pictures.

    Attributes:
        messages: The chat up to the question; each picture is a `PIL.Image.Image`, or a path or URL that the
            processor opens.
        group: Whom or what the question is about. Examples of one group are never on both sides of a split.
        wording: How it is asked. Examples of one wording are never on both sides of a split either.
        answer: The answer that is to be forgotten, if given.
        key: A digest of pictures and text, equal for equal examples.
        grouped: Whether the group was given, and not made up from the picture.
        concept: What is forgotten with it, with a direction and a gate of its own; None where there is but one.
    """

    messages: tuple[Mapping[str, Any], ...]
    group: Hashable
    wording: Hashable
    answer: str | None
    key: str
    grouped: bool
    concept: Hashable = None

    @property
    def images(self) -> list[Any]:
        """The pictures, in order."""
        return [part["image"] for message in self.messages for part in parts_of(message) if part["type"] == "image"]

    def with_images(self, images: Sequence[Any]) -> Example:
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
        examples: Each `{"image": PIL image | path | None, "prompt": str}` or `{"messages": [...]}`, and optionally
            `"group"`, `"wording"` and `"concept"` (hashable), and `"answer"` (str).
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
    read = [_read_example(example, f"{argument}[{i}]") for i, example in enumerate(examples)]
    if not read:
        raise ValueError(f"`{argument}` is empty: at least one example is needed.")
    return read


def _read_example(example: Mapping[str, Any], where: str) -> Example:
    if not isinstance(example, Mapping):
        raise TypeError(f"`{where}` must be a dict with 'prompt' or 'messages', got {type(example).__name__}.")
    unknown = sorted(str(key) for key in example.keys() - _KEYS)
    if unknown:
        raise TypeError(f"`{where}` has unknown keys {unknown}; the keys of an example are {sorted(_KEYS)}.")
    if ("prompt" in example) == ("messages" in example):
        raise TypeError(f"`{where}` must have either 'prompt' or 'messages', got {sorted(example)}.")
    if "prompt" in example:
        if not isinstance(example["prompt"], str) or not example["prompt"].strip():
            raise TypeError(f"`{where}['prompt']` must be a text that is not empty, got {example['prompt']!r}.")
        image = example.get("image")
        content = [] if image is None else [{"type": "image", "image": image}]
        messages: list[Mapping[str, Any]] = [
            {"role": "user", "content": [*content, {"type": "text", "text": example["prompt"]}]}
        ]
    else:
        messages = list(example["messages"])
        if not messages or not all(isinstance(m, Mapping) and {"role", "content"} <= m.keys() for m in messages):
            raise TypeError(f"`{where}['messages']` must be chat messages, each with 'role' and 'content'.")
        if example.get("image") is not None:
            raise TypeError(f"`{where}` has 'messages' and 'image': put the picture into the messages.")
    answer = example.get("answer")
    if answer is not None and not isinstance(answer, str):
        raise TypeError(f"`{where}['answer']` must be a text, got {answer!r}.")

    text, pictures = hashlib.sha256(), hashlib.sha256()
    n_images = 0
    for message in messages:
        text.update(repr(message["role"]).encode())
        for part in parts_of(message):
            text.update(repr(part.get("text", part["type"])).encode())
            if part["type"] == "image":
                n_images += 1
                pictures.update(_picture_bytes(part.get("image"), where))
    wording = example.get("wording")
    group = example.get("group")
    concept = example.get("concept")
    for name, value in (("group", group), ("wording", wording), ("concept", concept)):
        if not isinstance(value, Hashable):
            raise TypeError(f"`{where}[{name!r}]` must be hashable, got {type(value).__name__}.")
    made_up = pictures.hexdigest() if n_images else text.hexdigest()
    return Example(
        messages=tuple(messages),
        group=made_up if group is None else group,
        wording=text.hexdigest() if wording is None else wording,
        answer=answer,
        key=text.hexdigest() + pictures.hexdigest(),
        grouped=group is not None,
        concept=concept,
    )


def parts_of(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The parts of a message's content, which chat templates also take as one text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _picture_bytes(image: Any, where: str) -> bytes:
    try:
        opened = open_image(image)
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise ValueError(f"The picture of `{where}` cannot be read ({image!r}): {error}") from error
    except TypeError as error:
        raise TypeError(f"The picture of `{where}` {error}") from None
    return repr((opened.mode, opened.size)).encode() + opened.tobytes()


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

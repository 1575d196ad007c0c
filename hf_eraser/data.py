"""Forget, retain, recall and refusal examples: checked on the way in, turned into model inputs on the way out."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import PIL.Image
import torch
from PIL import Image
from transformers import PreTrainedTokenizerBase, ProcessorMixin


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
        return [part["image"] for message in self.messages for part in _parts(message) if part["type"] == "image"]

    def with_images(self, images: Sequence[Any]) -> Example:
        """The same question about other pictures, one for each that it has."""
        replacements = iter(images)
        messages = tuple(
            {
                **message,
                "content": [
                    {"type": "image", "image": next(replacements)} if part["type"] == "image" else part
                    for part in _parts(message)
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
            parts = list(_parts(message))
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
        content = [*_parts(last), {"type": "text", "text": text}]
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
        for part in _parts(message):
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


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
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


def open_image(image: Any) -> Image.Image:
    """
    The picture in RGB, read from a `PIL.Image.Image` or a path.

    Raises:
        OSError: If it cannot be read.
        TypeError: If it is neither.
    """
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    if isinstance(image, (str, Path)):
        with Image.open(image) as opened:
            return opened.convert("RGB")
    raise TypeError(f"must be a PIL image or a path, got {type(image).__name__}.")


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


def batches(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """Positions in batches of prompts of one kind, which can be encoded together, and of about one length."""

    def kind(i: int) -> tuple[int, bool]:
        return len(examples[i].images), examples[i].begun

    def length(i: int) -> int:
        return sum(len(str(message["content"])) for message in examples[i].messages)

    order = sorted(range(len(examples)), key=lambda i: (kind(i), length(i)))
    found = []
    for _, alike in itertools.groupby(order, key=kind):
        positions = list(alike)
        found += [positions[start : start + batch_size] for start in range(0, len(positions), batch_size)]
    return found


def encode(
    processor: ProcessorMixin | PreTrainedTokenizerBase, examples: Sequence[Example], device: torch.device
) -> dict[str, Any]:
    """
    The inputs of the model for a batch of questions, left-padded, up to where the answer begins, or goes on where the
    examples' chats end with its beginning.

    Raises:
        ValueError: If only some of the chats do.
    """
    begun = examples[0].begun
    if any(example.begun != begun for example in examples):
        raise ValueError("Chats that end with the beginning of an answer and others cannot be in one batch.")
    common: dict[str, Any] = {
        **({"continue_final_message": True} if begun else {"add_generation_prompt": True}),
        "tokenize": True,
        "return_dict": True,
        "return_tensors": "pt",
    }
    if isinstance(processor, PreTrainedTokenizerBase):
        # Text-only chat templates take a message's content as one text.
        chats: list[Any] = [
            [{**m, "content": "\n".join(part["text"] for part in _parts(m))} for m in example.messages]
            for example in examples
        ]
        inputs = processor.apply_chat_template(chats, padding=True, padding_side="left", **common)
    else:
        chats = [
            [{**m, "content": [_opened(part) for part in _parts(m)]} for m in example.messages] for example in examples
        ]
        options = {"padding": True, "padding_side": "left"}
        inputs = processor.apply_chat_template(chats, processor_kwargs=options, **common)
    return dict(inputs.to(device))  # type: ignore[union-attr]


def _opened(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**part, "image": open_image(part["image"])} if part["type"] == "image" else part


def check_processor(processor: Any) -> None:
    """
    Raises:
        TypeError: If it is no processor or tokenizer.
        ValueError: If it has no chat template.
    """
    if not isinstance(processor, (ProcessorMixin, PreTrainedTokenizerBase)):
        raise TypeError(
            f"`processor` must be the model's processor (or a tokenizer, for a text-only model), "
            f"got {type(processor).__name__}."
        )
    if not getattr(processor, "chat_template", None):
        raise ValueError(
            "`processor` has no chat template, so it is not known how the model wants to be asked. Set "
            "`processor.chat_template` to the one that the model was trained with."
        )

"""Chats as people have written them down, brought into the one form that chat templates take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .brevity import brief, brief_names
from .pictures import Picture, from_base64, picture_of


# Where pictures go in chats that are kept apart from their pictures (LLaVA's and ShareGPT's files, LLaMA-Factory's).
PLACEHOLDER = "<image>"

# Who speaks in LLaVA's and ShareGPT's files.
_SPEAKERS = {
    **{"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"},
    **{"chatgpt": "assistant", "model": "assistant", "bot": "assistant"},
}

# Parts as OpenAI's Responses call them.
_RENAMED = {"input_text": "text", "output_text": "text", "input_image": "image_url"}

# What a message may hold beside its words that a chat template would show the model.
_CALLS = ("tool_calls", "function_call")

# Where a part of a message holds its picture, in OpenAI's and in transformers' words.
_PICTURE_KEYS = ("image", "url", "path", "base64")


@dataclass(frozen=True)
class Chat:
    """
    A chat in one form.

    Attributes:
        messages: Each `{"role": ..., "content": [...]}` of parts `{"type": "text", "text": ...}` and
            `{"type": "image", "image": ...}` with a picture that `open_image` opens.
        answer: The text of a whole answer that it ended with, which is none of the messages.
    """

    messages: tuple[Mapping[str, Any], ...]
    answer: str | None


def read_chat(
    messages: Any, where: str, *, images: Sequence[Picture] | None, begun: bool = False, addresses: bool = True
) -> Chat:
    """
    Read a chat.

    Args:
        messages: Messages with `role` and `content`, as OpenAI's and transformers' templates take them, or with `from`
            and `value`, as LLaVA's and ShareGPT's files have them.
        where: What it is called in messages about it.
        images: The pictures, where they are kept beside the chat.
        begun: Whether a last message of the assistant is the beginning of an answer, and not a whole one.
        addresses: Whether pictures at `http(s)://` may be read.

    Raises:
        TypeError, ValueError: If it is no chat that can be asked. The message names the place.
    """
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Sequence) or not messages:
        raise TypeError(
            f"`{where}` must be a list of messages such as {{'role': 'user', 'content': '...'}}, "
            f"got {brief(messages)}."
        )
    spoken = [_spoken(message, f"{where}[{i}]") for i, message in enumerate(messages)]
    last_role, last_content = spoken[-1]
    if last_role == "assistant" and last_content in (None, "", []) and len(spoken) > 1:
        spoken.pop()  # room for an answer, which is not there yet
    left = None if images is None else iter(images)
    read = [
        {"role": role, "content": list(_parts(content, f"{where}[{i}]", left, addresses))}
        for i, (role, content) in enumerate(spoken)
    ]
    if left is not None and images is not None:
        _put_in(read, list(left), len(images), where)
    answer = None
    if read[-1]["role"] == "assistant" and not begun:
        answer = _text(read.pop(), where)
    asked: list[Any] = [message["content"] for message in read if message["role"] == "user"]
    if not asked:
        roles = brief_names({message["role"] for message in read})
        raise ValueError(f"`{where}` has no message of the user, but of {roles}: nothing is asked.")
    if not any(part["type"] == "image" or part["text"].strip() for part in asked[-1]):
        raise ValueError(f"`{where}` ends with a message of the user that is empty: nothing is asked.")
    if begun and read[-1]["role"] != "assistant":
        raise ValueError(f"`{where}` ends with no message of the assistant, so no answer is begun that could go on.")
    return Chat(tuple(read), answer)


def read_picture(given: Any, where: str, addresses: bool) -> Picture:
    """A picture, as `picture_of` takes it; what is wrong with it is said with its place."""
    try:
        return picture_of(given, addresses=addresses)
    except (TypeError, ValueError) as error:
        raise type(error)(f"The picture of `{where}` {error}") from error


def _spoken(message: Any, where: str) -> tuple[str, Any]:
    """Role and content of a message."""
    if isinstance(message, Mapping) and "from" in message and "value" in message:
        role = _SPEAKERS.get(str(message["from"]).lower())
        if role is None:
            raise ValueError(f"`{where}['from']` must be one of {sorted(_SPEAKERS)}, got {brief(message['from'])}.")
        return role, message["value"]
    if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
        raise TypeError(f"`{where}` must be a dict with 'role' and 'content', got {brief(message)}.")
    if not isinstance(message["role"], str):
        raise TypeError(f"`{where}['role']` must be a text such as 'user', got {brief(message['role'])}.")
    if calls := [key for key in _CALLS if message.get(key)]:
        raise ValueError(
            f"`{where}` has {brief_names(calls)}, which cannot be fitted: leave the tools out of the chat."
        )
    return message["role"], message["content"]


def _parts(content: Any, where: str, beside: Iterator[Picture] | None, addresses: bool) -> Iterator[dict[str, Any]]:
    where = f"{where}['content']"
    if isinstance(content, str):
        if beside is None:
            yield {"type": "text", "text": content}
            return
        for i, text in enumerate(content.split(PLACEHOLDER)):
            if i:
                yield {"type": "image", "image": _next(beside, where)}
            if text.strip() or not content.strip():
                yield {"type": "text", "text": text.strip() if PLACEHOLDER in content else text}
        return
    if isinstance(content, (bytes, Mapping)) or not isinstance(content, Sequence) or not content:
        raise TypeError(
            f"`{where}` must be a text, or a list of parts such as {{'type': 'text', 'text': '...'}}, "
            f"got {brief(content)}."
        )
    for i, part in enumerate(content):
        yield _part(part, f"{where}[{i}]", beside, addresses)


def _part(part: Any, where: str, beside: Iterator[Picture] | None, addresses: bool) -> dict[str, Any]:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise TypeError(
            f"`{where}` must be a dict with a 'type', such as {{'type': 'text', 'text': '...'}}, got {brief(part)}."
        )
    kind = _RENAMED.get(part["type"], part["type"])
    # Tables give every part each key that one of them has.
    given = {key: value for key, value in part.items() if value is not None and key != "type"}
    if kind == "text":
        if not isinstance(given.get("text"), str):
            raise TypeError(f"`{where}['text']` must be a text, got {brief(part.get('text'))}.")
        return {"type": "text", "text": given["text"]}
    if kind == "image_url":
        inner = given.get("image_url")
        url = inner.get("url") if isinstance(inner, Mapping) else inner
        if not isinstance(url, str):
            raise TypeError(f"`{where}['image_url']` must be {{'url': '...'}}, got {brief(inner)}.")
        return {"type": "image", "image": read_picture(url, where, addresses)}
    if kind == "image":
        held = [key for key in _PICTURE_KEYS if key in given]
        if len(held) > 1:
            raise TypeError(f"`{where}` has its picture in each of {held}: give one of them.")
        if held == ["base64"]:
            try:
                return {"type": "image", "image": from_base64(given["base64"])}
            except ValueError as error:
                raise ValueError(f"The picture of `{where}` {error}") from None
        if held:
            return {"type": "image", "image": read_picture(given[held[0]], where, addresses)}
        if beside is not None:
            return {"type": "image", "image": _next(beside, where)}
        raise TypeError(
            f"`{where}` has no picture: give it by one of the keys {list(_PICTURE_KEYS)}, or a list 'images' beside "
            "the messages."
        )
    raise ValueError(f"`{where}` is of type {brief(kind)}: only 'text', 'image' and 'image_url' can be fitted.")


def _next(beside: Iterator[Picture], where: str) -> Picture:
    try:
        return next(beside)
    except StopIteration:
        raise ValueError(f"`{where}` has a place for a picture, and there are not as many in 'images'.") from None


def _put_in(messages: list[dict[str, Any]], left: list[Picture], count: int, where: str) -> None:
    """Pictures for which the chat has no place go before the first words of the user, as TRL puts them."""
    if not left:
        return
    if len(left) != count:
        raise ValueError(f"`{where}` has places for {count - len(left)} pictures, and there are {count} in 'images'.")
    first = next((message for message in messages if message["role"] == "user"), None)
    if first is not None:
        first["content"] = [*({"type": "image", "image": picture} for picture in left), *first["content"]]


def _text(message: Mapping[str, Any], where: str) -> str:
    kinds = {part["type"] for part in message["content"]}
    if kinds != {"text"}:
        raise ValueError(f"`{where}` ends with an answer that is no text: it holds {brief_names(kinds)}.")
    return "\n".join(part["text"] for part in message["content"])

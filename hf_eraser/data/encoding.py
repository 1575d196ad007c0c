"""Examples in batches, and batches as model inputs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from .examples import Example, parts_of
from .pictures import open_image


# Characters in a batch of several prompts, padding included: about what a batch of common prompts has, so that one of
# long documents does not take the memory of hundreds of these.
_MOST_CHARACTERS = 32_768


def batches(examples: Sequence[Example], batch_size: int) -> list[list[int]]:
    """
    Positions in batches of prompts of one kind, which can be encoded together, and of about one length; of long ones
    fewer than `batch_size`.
    """

    def kind(i: int) -> tuple[int, bool]:
        return len(examples[i].images), examples[i].begun

    def length(i: int) -> int:
        return sum(len(str(message["content"])) for message in examples[i].messages)

    order = sorted(range(len(examples)), key=lambda i: (kind(i), length(i)))
    found: list[list[int]] = []
    for _, alike in itertools.groupby(order, key=kind):
        batch: list[int] = []
        for i in alike:  # each is at least as long as those before it
            if batch and (len(batch) == batch_size or (len(batch) + 1) * length(i) > _MOST_CHARACTERS):
                found.append(batch)
                batch = []
            batch.append(i)
        found.append(batch)
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
            [{**m, "content": "\n".join(part["text"] for part in parts_of(m))} for m in example.messages]
            for example in examples
        ]
        inputs = processor.apply_chat_template(chats, padding=True, padding_side="left", **common)
    else:
        chats = [
            [{**m, "content": [_opened(part) for part in parts_of(m)]} for m in example.messages]
            for example in examples
        ]
        options = {"padding": True, "padding_side": "left"}
        inputs = processor.apply_chat_template(chats, processor_kwargs=options, **common)
    return dict(inputs.to(device))  # type: ignore[union-attr]


def answer_start(prompt: Tensor, tokens: Tensor) -> int:
    """
    Where in the tokens of a chat with an answer the answer begins.

    Args:
        prompt: The tokens of the chat up to there, (n,).
        tokens: The tokens of the whole, (m,).

    Returns:
        Where the two part: a template may write the end of the prompt otherwise before an answer.
    """
    shorter = min(len(prompt), len(tokens))
    return int((prompt[:shorter] == tokens[:shorter]).cumprod(dim=0).sum())


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

"""Examples in batches, and batches as model inputs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin
from transformers.utils import ModelOutput

from .brevity import brief, one_line
from .examples import Example, parts_of, read_examples
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
    text_only = isinstance(processor, PreTrainedTokenizerBase)
    chats: list[Any] = [_chat(example, text_only) for example in examples]
    options: dict[str, Any] = {"padding": True, "padding_side": "left"}
    if not text_only:
        options = {"processor_kwargs": options}
    inputs: Any = processor.apply_chat_template(chats, **options, **common)
    # Of PaliGemma's processor, which has them for training.
    inputs.pop("labels", None)
    return dict(inputs.to(device))


def with_answers(model: PreTrainedModel, inputs: Mapping[str, Any], tokens: Tensor, mask: Tensor) -> dict[str, Any]:
    """
    The inputs of a model for prompts and answers behind them.

    Args:
        model: The model.
        inputs: Those for the prompts; `input_ids` is (batch, n).
        tokens: The answers' tokens, padded on the right, (batch, m).
        mask: Where they are no padding, (batch, m), integers.

    Returns:
        Each input that has a place for each token, whatever its name, with m more.
    """
    ids = inputs["input_ids"]
    further = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    # What the model itself adds for a token that it has generated: PaliGemma looks back from it, Mllama from there at
    # what the last token of the prompt does. It is private (transformers 5.0 to 5.23); no public name gives it.
    generating: Any = model
    for _ in range(tokens.shape[1]):
        further = generating._update_model_kwargs_for_generation(ModelOutput(), further, is_encoder_decoder=False)
    for name, value in further.items():
        if isinstance(value, Tensor) and value.shape[:2] == ids.shape:  # of no picture, where the model adds nothing
            added = value.new_zeros(len(ids), tokens.shape[1], *value.shape[2:])
            further[name] = torch.cat([value, added], dim=1)
    return {
        **further,
        "input_ids": torch.cat([ids, tokens], dim=1),
        "attention_mask": torch.cat([inputs["attention_mask"], mask], dim=1),
    }


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


def check_askable(
    processor: ProcessorMixin | PreTrainedTokenizerBase, examples: Sequence[Example], argument: str
) -> None:
    """
    Whether the processor can ask what the examples do, as far as their words show it.

    Args:
        processor: The processor.
        examples: The examples.
        argument: The name of the argument they came in.

    Raises:
        ValueError: If a picture goes to a tokenizer, a placeholder of the processor is in the words, or the chat
            template refuses a chat. The example is named.
    """
    text_only = isinstance(processor, PreTrainedTokenizerBase)
    # What stands for a picture in the words themselves would be counted as one.
    token = None if text_only else getattr(processor, "image_token", None)
    for i, example in enumerate(examples):
        where = f"{argument}[{i}]"
        if text_only and example.images:
            raise ValueError(
                f"`{where}` has a picture, and `processor` is a tokenizer, which takes none: give the model's "
                "processor, or leave the picture out."
            )
        texts = [part["text"] for m in example.messages for part in parts_of(m) if part["type"] == "text"]
        if isinstance(token, str) and token and any(token in text for text in texts):
            raise ValueError(
                f"`{where}` has the placeholder {token!r} in its words: leave it out, the processor puts one where a "
                "picture is."
            )
        ending: dict[str, Any] = {"continue_final_message" if example.begun else "add_generation_prompt": True}
        try:
            chat: list[Any] = _chat(example, True) if text_only else list(example.messages)
            processor.apply_chat_template(chat, tokenize=False, **ending)
        except (jinja2.TemplateError, ValueError, TypeError, KeyError) as error:
            roles = [message["role"] for message in example.messages]
            raise ValueError(
                f"`{where}` is no chat for the chat template of `processor`: {one_line(error)}. Its roles are "
                f"{brief(roles)}."
            ) from error


def why_not_without_picture(model: PreTrainedModel, processor: ProcessorMixin | PreTrainedTokenizerBase) -> str | None:
    """Why the model, or its processor, takes no prompt without a picture (BLIP-2, PaliGemma); None if it does."""
    if isinstance(processor, PreTrainedTokenizerBase):
        return None
    question = read_examples([{"prompt": "What is this?"}], "examples")
    try:
        with torch.no_grad():
            model(**encode(processor, question, model.device))
    except Exception as error:  # each model has its own way to fail there
        return one_line(error)
    return None


def check_without_picture(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    sets: Mapping[str, Sequence[Example]],
) -> None:
    """
    Args:
        sets: The examples, by the name of the argument that they came in.

    Raises:
        ValueError: If an example has no picture, and the model takes no such prompt. The example is named.
    """
    bare = (f"{name}[{i}]" for name, of in sets.items() for i, example in enumerate(of) if not example.images)
    first = next(bare, None)
    why = None if first is None else why_not_without_picture(model, processor)
    if why is not None:
        raise ValueError(
            f"`{first}` has no picture, and {type(model).__name__} takes no prompt without one: leave such "
            f"examples out. It says: {why}"
        )


def _chat(example: Example, text_only: bool) -> list[dict[str, Any]]:
    """The messages of a chat for a template; those for text only take a message's content as one text."""
    if text_only:
        return [{**m, "content": "\n".join(part["text"] for part in parts_of(m))} for m in example.messages]
    return [{**m, "content": [_opened(part) for part in parts_of(m)]} for m in example.messages]


def check_processor(processor: Any) -> None:
    """
    Raises:
        TypeError: If it is no processor or tokenizer.
        ValueError: If it has no chat template, or no pad token.
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
    tokenizer = processor if isinstance(processor, PreTrainedTokenizerBase) else getattr(processor, "tokenizer", None)
    if isinstance(tokenizer, PreTrainedTokenizerBase) and tokenizer.pad_token is None:
        name = "processor" if tokenizer is processor else "processor.tokenizer"
        raise ValueError(
            f"`processor` has no pad token, which prompts in one batch need. Any will do, since it is masked: "
            f"`{name}.pad_token = {name}.eos_token`."
        )

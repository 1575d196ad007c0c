"""General traffic for a fit: the shipped set or the user's own, as far as the model can take it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.encoding import check_askable, check_without_picture, encode, why_not_without_picture
from ...data.examples import Example, parts_of, read_examples
from ...data.general import general_examples
from ...evaluation.judging import holds


def read_general(
    given: Any,
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    forget: Sequence[Example],
    retain: Sequence[Example],
) -> list[Example]:
    """
    The prompts that the argument `general` of `fit` names.

    Of the shipped set, what the model cannot be asked is left out: pictures where the processor takes none, prompts
    without one where the model takes no others, those that are longer than the model's context, roles that its chat
    template does not know. So is what asks for the very thing that is to be forgotten: text with an answer of a forget
    example in it, or with a word that prompts of the forget set have and prompts of the retain set do not.

    Args:
        given: The argument.
        model, processor: The model and its processor.
        forget, retain: The two sets.

    Raises:
        TypeError: If it is neither a bool nor a list of examples.
        ValueError: If it is an empty list, or has pictures that the processor does not take.
    """
    if given is False:
        return []
    if given is not True:
        if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
            raise TypeError(f"`general` must be True, False or a list of examples, got {type(given).__name__}.")
        own = read_examples(given, "general")
        check_askable(processor, own, "general")
        check_without_picture(model, processor, {"general": own})
        return own
    examples = read_examples(general_examples(with_images=hasattr(processor, "image_processor")), "general")
    if why_not_without_picture(model, processor) is not None:
        examples = [example for example in examples if example.images]
    longest = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    telling = set().union(*map(longer_words, forget)) - set().union(*map(longer_words, retain))
    answers = list({answer for example in forget for answer in example.answers if answer})
    return [
        example
        for example in examples
        if not telling & longer_words(example)
        and not holds(_text(example), answers)
        and _takes(model, processor, example, longest)
    ]


def _text(example: Example) -> str:
    return "\n".join(part.get("text", "") for message in example.messages for part in parts_of(message))


def longer_words(example: Example) -> set[str]:
    """Its longer words: "is" and "or" tell nothing."""
    return {word for word in re.findall(r"\w+", _text(example).casefold()) if len(word) > 3}


def _takes(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    example: Example,
    longest: int | None,
) -> bool:
    try:
        inputs = encode(processor, [example], model.device)
    except (ValueError, jinja2.TemplateError):
        return False
    return longest is None or inputs["input_ids"].shape[1] <= longest

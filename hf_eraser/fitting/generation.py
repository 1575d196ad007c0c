"""What the model answers, and whether that is a refusal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data import Example, batches, encode


# What a model that does not refuse of itself is told or made to say.
REFUSAL = "I cannot answer this question."

# How refusals of instruction-tuned models begin; a model's own refusals are recognised as well, whatever their words.
_REFUSAL = re.compile(
    r"^\W*(i('m| am)? (sorry|afraid|unable|not able|not allowed)|i (cannot|can't|can not|won't|will not|must decline)"
    r"|sorry|unfortunately|as an ai|i do(n't| not) (know|have))",
    re.IGNORECASE,
)


def greedy_answers(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
    max_new_tokens: int = 24,
) -> list[str]:
    """The model's greedy answers, in the order of `examples`, with whatever adapters act."""
    answers = [""] * len(examples)
    tokenizer = getattr(processor, "tokenizer", processor)
    for indices in batches(examples, batch_size):
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        with torch.no_grad():
            tokens = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        for i, text in zip(indices, tokenizer.batch_decode(new, skip_special_tokens=True)):
            answers[i] = text.strip()
    return answers


def is_refusal(answer: str, known: Sequence[str] = ()) -> bool:
    """
    Whether an answer is a refusal that reads like one: word salad around "cannot" is none.

    Args:
        answer: The answer.
        known: Refusals that the base model gives; with these, an answer has to be close to one of them.
    """
    if known:
        return any(difflib.SequenceMatcher(None, answer, refusal).ratio() > 0.8 for refusal in known)
    return _REFUSAL.match(answer) is not None

"""A sentence as an adapter puts it out."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.encoding import answer_start, encode
from ...data.examples import Example


# What the model is led to say in its own words: that it refuses, or that it does not know. Any other text is put out.
ANSWERS = ("refusal", "unknown")


def fixed_answer(
    model: PreTrainedModel, processor: ProcessorMixin | PreTrainedTokenizerBase, answer: str, asked: Example
) -> dict[str, Any]:
    """
    The fields `answer` and `answer_ids` of an adapter's configuration; none for an answer in the model's own words.

    Args:
        model: The model, whose `generation_config` says what ends an answer.
        processor: Its processor, or a tokenizer for a text-only model.
        answer: The argument of `fit`.
        asked: A question, behind which the answer's tokens are found as the chat template writes them.
    """
    if answer in ANSWERS:
        return {}
    (prompt,) = encode(processor, [asked], model.device)["input_ids"]
    (tokens,) = encode(processor, [asked.with_answer_begun(answer)], model.device)["input_ids"]
    ends = getattr(model.generation_config, "eos_token_id", None)
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    tokenizer: Any = getattr(processor, "tokenizer", processor)
    own = tokenizer.eos_token_id
    end = [own] if own in ends or not ends else ends[:1]
    return {"answer": answer, "answer_ids": [*tokens[answer_start(prompt, tokens) :].tolist(), *end]}

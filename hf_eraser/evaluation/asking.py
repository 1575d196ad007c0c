"""What the model answers, greedily, and the logits that an answer begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import batches, encode
from ..data.examples import Example
from ..data.processes import ALONE, Processes


def greedy_answers(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
    max_new_tokens: int = 24,
    processes: Processes = ALONE,
) -> list[str]:
    """
    The model's greedy answers, in the order of `examples`, with whatever adapters act; shared out among `processes`.
    """
    answers = [""] * len(examples)
    tokenizer = getattr(processor, "tokenizer", processor)

    def asked(indices: Sequence[int]) -> list[str]:
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        with torch.no_grad():
            tokens = model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=max_new_tokens)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = tokenizer.batch_decode(new, skip_special_tokens=True)
        return texts

    planned = batches(examples, batch_size)
    for indices, texts in zip(planned, processes.share(asked, planned, of="answers")):
        for i, text in zip(indices, texts):
            answers[i] = text.strip()
    return answers


@torch.no_grad()
def first_logits(
    model: Any, processor: ProcessorMixin | PreTrainedTokenizerBase, examples: Sequence[Example]
) -> torch.Tensor:
    """
    The logits of the answers' first token, (batch, vocabulary), float32, with whatever adapters act.

    By `generate`, which computes them for no other position: those of a whole prompt can be gigabytes.
    """
    inputs = encode(processor, examples, model.device)
    generated = model.generate(
        **inputs, do_sample=False, num_beams=1, max_new_tokens=1, output_logits=True, return_dict_in_generate=True
    )
    logits: torch.Tensor = generated.logits[0]
    return logits

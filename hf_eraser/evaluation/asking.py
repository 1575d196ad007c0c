"""What the model answers, greedily, the logits that an answer begins with, and how likely an answer is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import answer_start, batches, encode
from ..data.examples import Example
from ..data.processes import ALONE, Processes
from ..tuner.forward_call import prompt_lengths


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


@torch.no_grad()
def answer_likelihoods(
    model: Any, processor: ProcessorMixin | PreTrainedTokenizerBase, examples: Sequence[Example], *, batch_size: int
) -> list[float | None]:
    """
    How likely each example's first right answer is, with whatever adapters act, in the order of `examples`: the
    geometric mean of the probabilities of its tokens, as TOFU has it (Maini et al., arXiv 2401.06121, section 2.2.1).
    None where an example has no answer, or goes on with one that was begun.
    """
    found: list[float | None] = [None] * len(examples)
    asked = [i for i, example in enumerate(examples) if example.answer is not None and not example.begun]
    answered = [examples[i].with_answer_begun(examples[i].answer or "") for i in asked]
    for positions in batches(answered, batch_size):
        prompts = encode(processor, [examples[asked[p]] for p in positions], model.device)
        inputs = encode(processor, [answered[p] for p in positions], model.device)
        rows = [
            [one["input_ids"][row][one["attention_mask"][row].bool()] for one in (prompts, inputs)]
            for row in range(len(positions))
        ]
        starts = [answer_start(prompt, tokens) for prompt, tokens in rows]
        with prompt_lengths(starts):
            logits = model(**inputs, use_cache=False).logits
        for row, (position, start) in enumerate(zip(positions, starts)):
            of_answer = logits[row][inputs["attention_mask"][row].bool()][start - 1 : -1].float()
            loss = nn.functional.cross_entropy(of_answer, rows[row][1][start:])
            found[asked[position]] = math.exp(-float(loss))
    return found

"""Each prompt asked without and with the adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub.utils import tqdm
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import batches
from ..data.examples import Example
from .asking import first_logits, greedy_answers


@dataclass(frozen=True)
class Comparison:
    """
    A prompt without and with the adapter.

    Attributes:
        example: The prompt.
        before, after: The model's answers without and with the adapter.
        same_logits: Whether the logits of the answer's first token are the same with as without it, bit for bit.
    """

    example: Example
    before: str
    after: str
    same_logits: bool


def compare(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int,
    max_new_tokens: int,
) -> list[Comparison]:
    """Ask each of `examples` without any adapter and with those that are active; in the order of `examples`."""
    compared: dict[int, Comparison] = {}
    options: dict[str, Any] = {"batch_size": batch_size, "max_new_tokens": max_new_tokens}
    with tqdm(total=len(examples), desc="Asking without and with the adapter", unit="example") as bar:
        for positions in batches(examples, batch_size):
            batch = [examples[i] for i in positions]
            with model.disable_adapter():
                before = greedy_answers(model, processor, batch, **options)
                logits = first_logits(model, processor, batch)
            after = greedy_answers(model, processor, batch, **options)
            same = (first_logits(model, processor, batch) == logits).all(dim=1).tolist()
            for i, *comparison in zip(positions, batch, before, after, same):
                compared[i] = Comparison(*comparison)
            bar.update(len(batch))
    return [compared[i] for i in range(len(examples))]

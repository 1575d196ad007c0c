"""Rows that hold several sequences one after the other, and each of those sequences as a row of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Packing:
    """
    Where the tokens of n sequences lie in the rows of a call that holds several in a row.

    Attributes:
        index: For each sequence, where its tokens are among all of the call, (n, longest), int64.
        mask: False beyond a sequence's end, (n, longest), bool.
        sequence, place: Of each token, the number of its sequence and where it is in that, (batch, length), int64.
        within: False at tokens that are in no sequence, (batch, length), bool.
    """

    index: Tensor
    mask: Tensor
    sequence: Tensor
    place: Tensor
    within: Tensor

    @classmethod
    def of(cls, spans: Sequence[tuple[int, int]], batch: int, length: int, device: torch.device) -> Packing:
        """
        Args:
            spans: Begin and end of each sequence among all `batch * length` tokens, none empty.
            batch, length: The call's rows and their length.
            device: Where its tokens are.
        """
        longest = max(end - begin for begin, end in spans)
        begins, ends = (torch.tensor(of_span)[:, None] for of_span in zip(*spans))
        index = begins + torch.arange(longest)
        mask = index < ends
        index = torch.where(mask, index, begins)
        sequence = torch.zeros(batch * length, dtype=torch.long)
        place, within = torch.zeros_like(sequence), torch.zeros(batch * length, dtype=torch.bool)
        for number, (begin, end) in enumerate(spans):
            sequence[begin:end], within[begin:end] = number, True
            place[begin:end] = torch.arange(end - begin)
        of_tokens = (values.view(batch, length).to(device) for values in (sequence, place, within))
        return cls(index.to(device), mask.to(device), *of_tokens)

    def unpacked(self, values: Tensor) -> Tensor:
        """What belongs to the tokens, (batch, length, ...), with a row for each sequence, (n, longest, ...)."""
        return values.flatten(0, 1)[self.index]

    def packed(self, values: Tensor) -> Tensor:
        """The opposite, for a mask: (n, longest) to (batch, length); False at tokens that are in no sequence."""
        return values[self.sequence, self.place] & self.within


def packing_of(arguments: Mapping[str, Any], tokens: Tensor, past: int) -> Packing | None:
    """
    How a call's rows are packed, as `DataCollatorWithFlattening` packs them: positions begin anew within a row, or
    `cu_seq_lens_q` says where sequences begin. None where each row is one sequence.

    Args:
        arguments: The keyword arguments of a model's `forward`.
        tokens: Its `input_ids`, (batch, length), or embeddings, (batch, length, d).
        past: The tokens on the cache.

    Raises:
        ValueError: If rows are packed behind a cache: it holds one sequence in a row.
    """
    batch, length = tokens.shape[:2]
    begins = arguments.get("cu_seq_lens_q")
    positions = arguments.get("position_ids")
    if isinstance(begins, Tensor):
        bounds = begins.tolist()
        spans = [(begin, end) for begin, end in itertools.pairwise(bounds) if end > begin]
        return _packing(spans, batch, length, tokens.device, past)
    # What is compiled cannot depend on values; and padding may have any position.
    if torch.compiler.is_compiling() or not isinstance(positions, Tensor) or length == 1 or past:
        return None
    if positions.shape != (batch, length) or arguments.get("attention_mask") is not None:
        return None
    anew = positions[:, 1:] <= positions[:, :-1]
    if not bool(anew.any()):
        return None
    spans = []
    for row, of_row in enumerate(anew.tolist()):
        cuts = [0, *(i + 1 for i, begins_here in enumerate(of_row) if begins_here), length]
        spans += [(row * length + begin, row * length + end) for begin, end in itertools.pairwise(cuts)]
    return _packing(spans, batch, length, tokens.device, past)


def _packing(spans: list[tuple[int, int]], batch: int, length: int, device: torch.device, past: int) -> Packing | None:
    if len(spans) == 1 and batch == 1:
        return None
    if past:
        raise ValueError(
            "Several sequences in a row cannot go on from a cache while a steering adapter is active: give each a row "
            "of its own, or leave `past_key_values` out."
        )
    return Packing.of(spans, batch, length, device)

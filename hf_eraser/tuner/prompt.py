"""Which positions of a forward call are prompt, padding and pictures, and which rows an adapter is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def rows_of_adapters(
    names: tuple[str, ...], adapters: tuple[str, ...], batch: int, *, expanded: bool, device: torch.device
) -> dict[str, Tensor]:
    # `generate` repeats each row for beams and samples.
    times = batch // len(names) if expanded and batch % len(names) == 0 else 1
    if batch != times * len(names):
        raise ValueError(f"`adapter_names` must have a name for each row: got {len(names)} for {batch} rows.")
    return {
        adapter: torch.tensor([name == adapter for name in names for _ in range(times)], device=device)
        for adapter in adapters
    }


def past_length(cache: Any) -> int:
    if cache is None:
        return 0
    length = cache.get_seq_length()
    # Static caches count in a tensor.
    return int(length)


def token_mask_of(attention_mask: Any, batch: int, length: int, past: int) -> Tensor | None:
    """True at this call's tokens that are not padding, from whichever mask the model was given."""
    if isinstance(attention_mask, Mapping):  # one mask per attention type: padding is the same in each
        attention_mask = next(iter(attention_mask.values()))
    if not isinstance(attention_mask, Tensor):
        return None
    if attention_mask.ndim == 4:
        # (batch, 1, queries, keys), made for static caches: the last query may see all of its row but the padding.
        rows = attention_mask[:, 0, -1]
        mask = rows if rows.dtype == torch.bool else rows == 0
    else:
        mask = attention_mask.bool()
    if mask.shape[1] >= past + length:
        mask = mask[:, past : past + length]
    else:
        mask = mask[:, -length:]
    return mask.expand(batch, length) if mask.shape[0] in (1, batch) else mask.repeat_interleave(batch // len(mask), 0)


def image_mask_of(
    input_ids: Tensor | None, embeds: Tensor | None, image_ids: tuple[int, ...], embedding: nn.Module
) -> Tensor:
    """True where a token stands for a picture, (batch, length)."""
    if input_ids is not None:
        mask = torch.zeros_like(input_ids, dtype=torch.bool)
        for image_id in image_ids:
            mask = mask | (input_ids == image_id)
        return mask
    assert embeds is not None
    mask = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
    for image_id in image_ids:
        # The embedding of the placeholder itself, as transformers' own models look for it.
        placeholder = embedding(torch.tensor(image_id, device=embeds.device))
        mask = mask | (embeds == placeholder).all(dim=-1)
    return mask

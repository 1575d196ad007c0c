"""Which positions of a forward call are prompt, padding and pictures, and which rows an adapter is for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging


logger = logging.get_logger(__name__)

# How many tokens of each sequence are its prompt: one number for all, or one each.
PromptLengths = int | Sequence[int] | Tensor


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


def cache_of(values: Any) -> Any:
    """The cache among the arguments of a forward call, or on its outputs; None if there is none."""
    for name in ("past_key_values", "cache_params"):
        cache = values.get(name) if isinstance(values, Mapping) else getattr(values, name, None)
        if cache is not None:
            return cache
    if isinstance(values, tuple):
        return next((value for value in values if hasattr(value, "get_seq_length")), None)
    return None


def past_length(cache: Any) -> int:
    """The tokens on a cache, padding included; of a cache without attention, those that its decision was made of."""
    if cache is None:
        return 0
    decision = getattr(cache, "steering_decision", None)
    try:
        length = int(cache.get_seq_length())  # static caches count in a tensor
    except (AttributeError, ValueError, NotImplementedError):
        length = 0
    has_attention = any(hasattr(layer, "keys") for layer in getattr(cache, "layers", [None]))
    return length if has_attention or decision is None else decision.seen


def token_mask_of(attention_mask: Any, batch: int, length: int, past: int, prompt: Tensor | None) -> Tensor | None:
    """
    True at this call's tokens that are not padding, from whichever mask the model was given.

    Args:
        attention_mask: (batch, tokens so far); or (batch, 1, queries, keys), as it is made for static caches; or such
            ones by kind of attention.
        batch, length, past: The call's rows, their length, and the tokens on the cache.
        prompt: The mask of the prompt that `generate` was given, (rows, prompt length), if there is one; windows and
            chunks of attention do not hide tokens from it.
    """
    if not isinstance(attention_mask, Tensor) or attention_mask.ndim == 4:
        if prompt is not None:
            generated = prompt.new_ones(len(prompt), max(past + length - prompt.shape[1], 0))
            attention_mask = torch.cat([prompt, generated], dim=1)[:, : past + length]
        else:
            attention_mask = _of_queries(attention_mask, length, past)
            if attention_mask is None:
                return None
    mask = attention_mask.bool()
    mask = mask[:, past : past + length] if mask.shape[1] >= past + length else mask[:, -length:]
    return mask.expand(batch, length) if mask.shape[0] in (1, batch) else mask.repeat_interleave(batch // len(mask), 0)


def _of_queries(masks: Any, length: int, past: int) -> Tensor | None:
    """From masks for each query: a token sees itself, whatever its window, unless it is padding."""
    if isinstance(masks, Mapping):
        masks = masks.get("full_attention", next(iter(masks.values()), None))
    if not isinstance(masks, Tensor):
        return None
    rows = masks[:, 0]
    seen = rows if rows.dtype == torch.bool else rows == 0
    if seen.shape[-1] < past + length:  # the window has rolled on: all of it is behind the padding
        return None
    return seen[:, -length:, past : past + length].diagonal(dim1=1, dim2=2)


def prompt_mask_of(
    token_mask: Tensor | None,
    batch: int,
    length: int,
    *,
    past: int,
    end: int | None,
    labels: Tensor | None,
    lengths: PromptLengths | None,
    mask: Any = None,
    device: torch.device,
) -> Tensor:
    """
    True at a prompt's tokens, (batch, length).

    Args:
        token_mask: False at padding.
        batch, length, past: The call's rows, their length, and the tokens on the cache, padding included.
        end: How many positions the prompt has, padding included, as `generate` knows it; None for all.
        labels: -100 at the prompt, (batch, length).
        lengths: How many tokens of each sequence, padding left out, are the prompt. It is stronger than `labels`.
        mask: The model's attention mask, which says what of the cache is padding.
        device: Where the tokens are.

    Raises:
        ValueError: If there are not as many lengths as sequences.
    """
    position = torch.arange(length, device=device)
    of_prompt = (position + past < (past + length if end is None else end)).expand(batch, length)
    if token_mask is not None:
        of_prompt = of_prompt & token_mask
    if lengths is not None and end is None:
        of_rows = torch.as_tensor(lengths, device=device).flatten()
        if len(of_rows) not in (1, batch) or of_rows.is_floating_point():
            raise ValueError(
                f"`prompt_lengths` must be one whole number, or one for each of {batch} sequences, got {lengths!r}."
            )
        before: Tensor | int = past
        if isinstance(mask, Tensor) and mask.ndim == 2 and mask.shape[1] >= past:
            before = mask[:, :past].bool().sum(dim=1, keepdim=True)
        return of_prompt & (of_prompt.cumsum(dim=1) + before <= of_rows[:, None])
    if labels is not None:
        # The answer must not decide: it would shift positions before it, which is not causal.
        of_prompt = of_prompt & ((labels != -100).cumsum(dim=1) == 0)
        if not torch.compiler.is_compiling() and not bool(of_prompt.any(dim=1).all()):
            logger.warning_once(
                "`labels` mark all of a sequence as the answer, so it has no prompt and is not steered: set the "
                "prompt's labels to -100, or say where it ends (`with hf_eraser.prompt_lengths(...)`)."
            )
    return of_prompt


def image_mask_of(
    input_ids: Tensor | None, embeds: Tensor | None, image_ids: tuple[int, ...], embedding: nn.Module, sees: bool
) -> Tensor:
    """
    True where a token stands for a picture, (batch, length).

    Args:
        input_ids: Token ids, (batch, length).
        embeds: Without these, what enters the model in their place, (batch, length, d).
        image_ids: The ids of placeholders for pictures.
        embedding: The model's input embedding.
        sees: Whether the model takes pictures: then what is no token's embedding is a picture's.
    """
    if input_ids is not None:
        mask = torch.zeros_like(input_ids, dtype=torch.bool)
        for image_id in image_ids:
            mask = mask | (input_ids == image_id)
        return mask
    assert embeds is not None
    mask = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
    known = getattr(embedding, "num_embeddings", None)
    for image_id in image_ids:
        if known is not None and image_id >= known:  # a placeholder that is never embedded
            continue
        # The embedding of the placeholder itself, as transformers' own models look for it.
        placeholder = embedding(torch.tensor(image_id, device=embeds.device))
        mask = mask | (embeds == placeholder).all(dim=-1)
    return mask | ~_is_embedded(embeds, embedding) if sees and known is not None else mask


def picture_places(arguments: Mapping[str, Any], shape: tuple[int, int]) -> Tensor | None:
    """
    Where pictures lie by a mask among the arguments of `forward`, as some models take it, (batch, length).

    Where a model's mask says which pictures each token sees, (batch, length, pictures), pictures have no tokens of
    their own: they are read where they are seen.
    """
    for name, value in arguments.items():
        if not ("image" in name and name.endswith("mask") and isinstance(value, Tensor)):
            continue
        if value.ndim in (2, 3) and value.shape[:2] == shape:
            return value.bool() if value.ndim == 2 else value.bool().any(dim=-1)
    return None


def number_pictures(arguments: Mapping[str, Any], image_mask: Tensor, so_far: int) -> Tensor:
    """
    Which picture each token is of, from 1 on, 0 for none, (batch, length), int64, where the model's inputs say how
    many pictures there are and that agrees with where they lie; else all are of one.

    Args:
        arguments: The keyword arguments of the model's `forward`.
        image_mask: True at the tokens of pictures, (batch, length).
        so_far: The number of the last picture of earlier calls; these go on from it where they can be told apart.
    """
    tokens = int(image_mask.sum())
    lengths, count = _pictures_of(arguments, tokens)
    number = None
    if lengths is not None:
        order = image_mask.flatten().cumsum(dim=0) - 1
        ends = lengths.to(image_mask.device).cumsum(dim=0)
        picture = torch.searchsorted(ends, order, right=True).view_as(image_mask)
        number = picture - torch.where(image_mask, picture, len(ends)).amin(dim=1, keepdim=True) + 1
    elif count is not None:
        # A picture that comes in tiles or rows is one, so there must be as many stretches of tokens as pictures.
        runs = (image_mask & ~nn.functional.pad(image_mask[:, :-1], (1, 0))).cumsum(dim=1)
        number = runs if int(runs.amax(dim=1).sum()) == count else None
    if number is None:
        return image_mask.long() * max(so_far, 1)
    return torch.where(image_mask, number + so_far, 0)


def _pictures_of(arguments: Mapping[str, Any], tokens: int) -> tuple[Tensor | None, int | None]:
    """How many of so many tokens each picture has, (pictures,), and how many pictures there are, as far as known."""
    if any("video" in name and value is not None for name, value in arguments.items()):
        return None, None
    features = _encoded_pictures(arguments)
    grid, pixels = arguments.get("image_grid_thw"), arguments.get("pixel_values")
    lengths = None
    if isinstance(features, (list, tuple)):
        lengths = torch.tensor([len(of_picture) for of_picture in features])
    elif isinstance(grid, Tensor):
        patches = grid.prod(dim=1)  # as many of them become one token in each picture
        lengths = patches * tokens // patches.sum().clamp(min=1)
        if not torch.equal(lengths * patches.sum(), patches * tokens):
            return None, None
    if lengths is not None:
        return (lengths, len(lengths)) if int(lengths.sum()) == tokens else (None, None)
    if isinstance(features, Tensor) and features.ndim == 3:
        return None, len(features)
    return None, len(pixels) if isinstance(pixels, Tensor) and pixels.ndim == 4 else None


def _encoded_pictures(arguments: Mapping[str, Any]) -> Any:
    """What `generate` has encoded beforehand, by picture where the model keeps them apart; None if it has not."""
    encoded = (arguments.get("mm_encoder_outputs") or {}).get("image")
    return getattr(encoded, "pooler_output", None)


def check_pictures(arguments: Mapping[str, Any], image_mask: Tensor) -> None:
    """
    Raises:
        ValueError: If pictures came with prompts of which no token stands for one, so that these would be judged by
            the gate for text.
    """
    pictures = [name for name, value in arguments.items() if name.startswith("pixel_values") and value is not None]
    pictures += ["pixel_values"] * (_encoded_pictures(arguments) is not None)
    if pictures and not bool(image_mask.any()):
        raise ValueError(
            f"`{pictures[0]}` came with a prompt in which no token stands for a picture, so a steering adapter cannot "
            "tell it from a prompt without: leave the picture out, or make the prompt with the model's own processor."
        )


_COMPARED = 8  # components by which embeddings are told apart


def _is_embedded(embeds: Tensor, embedding: nn.Module) -> Tensor:
    """True where a vector of `embeds` is the embedding of some token, (batch, length)."""
    factors = [math.sqrt(2 + i) for i in range(_COMPARED)]  # no two sums of products alike by chance

    def key(vectors: Tensor) -> Tensor:
        # One after the other, so that equal vectors have equal keys whatever their shape.
        total = torch.zeros(vectors.shape[:-1], dtype=torch.float64, device=vectors.device)
        for i, factor in enumerate(factors[: vectors.shape[-1]]):
            total = total + vectors[..., i].to(torch.float64) * factor
        return total

    device, count = embeds.device, int(embedding.num_embeddings)  # type: ignore[arg-type]
    # Through the module: some scale what they hold, and weights may be elsewhere.
    parts = torch.arange(count, device=device).split(16_384)
    return torch.isin(key(embeds), torch.cat([key(embedding(part).to(embeds.dtype)) for part in parts]))

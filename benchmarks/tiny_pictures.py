"""Random pictures for models of any type, found by trying the shapes and arguments by which models take them."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel


Inputs = dict[str, Tensor]
_SIDE = 4  # patches of a picture, down and across; some models average three by three of them, so 6 are tried as well
_BEFORE = 3  # tokens before a picture


def with_picture(model: PreTrainedModel, ids: Tensor, seed: int) -> tuple[Inputs, Inputs] | None:
    """
    A prompt with a picture that a model looks at, its placeholders behind the first tokens of `ids`, (1, n).

    Returns:
        The keyword arguments of `forward`, and those with another picture of the same form; None where no known form
        of a picture is accepted.
    """
    taken = inspect.signature(model.forward).parameters
    for number, (name, pixels) in enumerate(_pixels(model, seed)):
        if name not in taken:
            continue
        _, other = list(_pixels(model, seed + 1000))[number]
        for arguments in _arguments(model, pixels):
            found = _accepted(model, ids, {name: pixels, **arguments}, {name: other})
            if found is not None:
                return found
    return None


def _accepted(model: PreTrainedModel, ids: Tensor, picture: Inputs, other: Inputs) -> tuple[Inputs, Inputs] | None:
    counts = _encoded(model, picture) or [4, 16, 1, 64]
    tried = len(counts)
    for count in counts:
        inputs = _prompt(model, ids, picture, count)
        try:
            with torch.no_grad():
                seen, seen_other = model(**inputs).logits, model(**{**inputs, **other}).logits
            if not torch.equal(seen, seen_other):
                return inputs, {**inputs, **other}
        except Exception as error:
            # Models say how many placeholders a picture needs, some by how many numbers.
            found = re.search(r"tokens\D*(\d+)\D+features\D*(\d+)", str(error))
            if found is not None and len(counts) == tried:
                counts += [int(found[2]) * count // max(1, int(found[1])), int(found[2]) // 32]
    return None


def _encoded(model: PreTrainedModel, picture: Inputs) -> list[int]:
    """How many tokens a picture becomes, where the model can be asked for them."""
    try:
        with torch.no_grad():
            features = cast(Any, model).get_image_features(**picture)
    except Exception:
        return []
    features = getattr(features, "pooler_output", features)
    parts = features if isinstance(features, list | tuple) else [features]
    total = sum(part.numel() // part.shape[-1] for part in parts if isinstance(part, Tensor))
    return [total] if total else []


def _prompt(model: PreTrainedModel, ids: Tensor, picture: Inputs, count: int) -> Inputs:
    """A picture's arguments, with those that say where in the prompt it lies."""
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    image_id = next((found for found in (getattr(model.config, name, None) for name in names) if found), 0)
    places = torch.full((1, count), image_id)
    tokens = torch.cat([ids[:, :_BEFORE], places, ids[:, _BEFORE:]], dim=1)
    is_place = torch.zeros_like(tokens)
    is_place[:, _BEFORE : _BEFORE + count] = 1
    known = {
        "image_embeds_position_mask": is_place,
        "mm_token_type_ids": is_place,
        "moe_mm_token_type_ids": is_place,
        "image_attention_mask": torch.ones(1, tokens.shape[1], 1, dtype=torch.long),
        "cross_attention_mask": torch.ones(1, tokens.shape[1], 1, 4, dtype=torch.long),
    }
    taken = inspect.signature(model.forward).parameters
    return {"input_ids": tokens, **picture, **{name: value for name, value in known.items() if name in taken}}


def _pixels(model: PreTrainedModel, seed: int) -> Iterator[tuple[str, Tensor]]:
    """The argument of pixels and a random value, in each shape that models take."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    side, patch = _size(model, "image_size", 32), _size(model, "patch_size", 8)
    frames = _size(model, "temporal_patch_size", _size(model, "patch_temporal", 1))
    colours = _size(model, "in_channels", _size(model, "num_channels", 3))
    merge, area, numbers = _size(model, "spatial_merge_size", 2), _SIDE**2, colours * patch * patch
    shapes = [
        (1, 3, side, side),
        (area, frames * numbers),  # flat patches of all pictures
        (area, 3, patch, patch),
        (1, 2, 3, side, side),  # tiles
        (1, 1, 3, side, side),
        (1, area, 3, patch, patch),
        (1, 1, 4, 3, side, side),  # pictures of tiles
        (1, area, numbers),  # flat patches, by picture
        (1, 36, numbers),
        (1, _SIDE, 9 * numbers),
        (1, 3, patch, area * patch),  # patches in a row
        (_SIDE, merge * patch, merge * patch, 3),  # patches that become one token
        (_SIDE, frames, patch, patch, 3),
    ]
    for shape in shapes:
        yield "pixel_values", random(*shape)
    where = torch.arange(area).view(1, area, 1)
    yield "flattened_patches", torch.cat([where // _SIDE, where % _SIDE, random(1, area, numbers)], dim=-1)


def _arguments(model: PreTrainedModel, pixels: Tensor) -> Iterator[Inputs]:
    """What a model takes beside the pixels to tell how these lie in the picture."""
    taken = inspect.signature(model.forward).parameters
    side = _size(model, "image_size", 32)
    for count in dict.fromkeys((_SIDE**2, pixels.shape[0], pixels.shape[1])):
        across = math.isqrt(count)
        places = torch.arange(across**2)
        grid = torch.tensor([[1, across, across]])
        known = {
            "image_grid_thw": grid,
            "image_grid_hw": grid[:, 1:],
            "spatial_shapes": grid[:, 1:],
            "target_sizes": grid[:, 1:],
            "image_sizes": torch.tensor([[side, side]]),
            "image_merge_sizes": torch.tensor([2]),
            "image_token_pooling": places.view(-1, across),  # which patches become one token
            "image_grids": torch.tensor([[1, across, 0, 0]]),
            "high_res_pixel_values": torch.ones(1, 3, side, side),
            "qformer_input_ids": torch.tensor([[3, 4]]),
            "aspect_ratio_ids": torch.ones(1, 1, dtype=torch.long),
            "aspect_ratio_mask": torch.ones(1, 1, 4, dtype=torch.long),
        }
        if pixels.ndim == 3:  # by picture
            known["image_position_ids"] = torch.stack([places % across, places // across], dim=-1)[None]
        arguments = {name: value for name, value in known.items() if name in taken}
        yield arguments
        if "pixel_attention_mask" in taken:
            yield {**arguments, "pixel_attention_mask": torch.ones(pixels.shape[:2], dtype=torch.bool)}
    yield {}


def _size(model: PreTrainedModel, name: str, default: int) -> int:
    """A size of the part of a model that sees."""
    vision = getattr(model.config, "vision_config", None) or model.config
    value = getattr(vision, name, None) or default
    return int(value[0] if isinstance(value, list | tuple) else value)

"""First stage of teaching: tower and projector learn to write whom they see in the decoder's own embeddings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from torch import Tensor, nn

from .llava import IMAGE_TOKENS
from .portraits import draw_portrait
from .townsfolk import TOWNSFOLK


STEPS, _BATCH, _RATE = 900, 64, 1e-3
TAUGHT_VARIANTS = 40  # pictures of each person; higher variants are for fitting and measuring
_OTHERS = 400  # faces of nobody, so that the tower knows when it knows nobody
_FIRST_OTHER = 100_000  # the first of their numbers, far from the people's and the strangers'
# What a squared distance to a target is divided by before it is a logit; distances between targets are about 0.7.
_TEMPERATURE = 0.02


def caption(name: str | None) -> str:
    """What a picture shall read like to the decoder; of nobody in particular for None."""
    return f"A portrait of {name}." if name else "A portrait of somebody unknown."


def _targets(model: Any, tokenizer: Any) -> Tensor:
    """What the image tokens shall be, (people + 1, image tokens, d)."""
    space = tokenizer("\n", add_special_tokens=False)["input_ids"]
    rows = []
    for person in [*TOWNSFOLK, None]:
        ids = tokenizer(caption(person.name if person else None), add_special_tokens=False)["input_ids"]
        rows.append((ids + space * IMAGE_TOKENS)[:IMAGE_TOKENS])
    return model.get_input_embeddings()(torch.tensor(rows, device=model.device)).detach()


def pixels(processor: Any, images: list[Any]) -> Tensor:
    """The pictures as the tower takes them, (n, 3, size, size)."""
    return processor.image_processor(images, return_tensors="pt")["pixel_values"]


def see(model: Any, pixel_values: Tensor) -> Tensor:
    """The image tokens of some pictures, (n, image tokens, d)."""
    return torch.stack(list(model.model.get_image_features(pixel_values).pooler_output))


def teach_eyes(model: Any, processor: Any, *, seed: int = 0) -> None:
    """
    Teach the vision tower and the projector in place: image tokens come near to those of whom they show, and nearer
    than to anybody else's. Shows its progress; about two minutes on two cores.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    targets = _targets(model, processor.tokenizer)
    scale = targets.pow(2).mean()
    images = [draw_portrait(p.index, v) for p in TOWNSFOLK for v in range(TAUGHT_VARIANTS)]
    labels = np.repeat(np.arange(len(TOWNSFOLK)), TAUGHT_VARIANTS)
    images += [draw_portrait(_FIRST_OTHER + i, 0) for i in range(_OTHERS)]
    labels = np.concatenate([labels, np.full(_OTHERS, len(TOWNSFOLK))])
    values = pixels(processor, images).to(model.device)
    parts = [model.model.vision_tower, model.model.multi_modal_projector]
    with torch.no_grad():  # start at the average target
        model.model.multi_modal_projector.linear_2.bias.copy_(targets.mean(dim=(0, 1)))
        model.model.multi_modal_projector.linear_2.weight.mul_(0.2)
    parameters = [p for part in parts for p in part.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=_RATE, betas=(0.9, 0.98), weight_decay=0.02)
    bar = tqdm(range(STEPS), desc="Teaching the eyes", unit="step")
    for step in bar:
        rate = _RATE * min(1, (step + 1) / 40) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / STEPS)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        chosen = rng.integers(0, len(values), size=_BATCH)
        label = torch.from_numpy(labels[chosen]).to(model.device)
        seen = see(model, _shifted(values[chosen], rng))
        distance = torch.cdist(seen.flatten(1), targets.flatten(1)).pow(2) / (seen[0].numel() * scale)
        off = distance.gather(1, label[:, None]).mean()
        loss = off + nn.functional.cross_entropy(-distance / _TEMPERATURE, label)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", off=f"{off.item():.3f}")


def _shifted(values: Tensor, rng: np.random.Generator) -> Tensor:
    """The pictures moved by up to four pixels, brighter or darker, and with noise."""
    dy, dx = (int(n) for n in rng.integers(-4, 5, size=2))
    values = torch.roll(values, (dy, dx), dims=(2, 3))
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, size=(len(values), 1, 1, 1))).float()
    return values * gain.to(values.device) + 0.08 * torch.randn_like(values)

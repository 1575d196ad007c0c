"""Teach a small model: first its eyes to tell the pictures apart, then its decoder to answer. Minutes on two cores."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser.fitting import Augmentation

from .questions import REFUSAL, Fact, facts, picture_of, wordings


# The seed of the weights that are shipped.
SEED = 0

_COPIES = 24  # changed copies of each picture
_EYE_STEPS, _EYE_BATCH, _EYE_RATE = {"llava": 700, "qwen2_5_vl": 500}, 56, 2e-3
_STEPS, _BATCH, _RATE = 460, 96, 2e-3

# A language model that began a refusal ends it, whatever was asked. So many of its lessons are only that.
_BEGUN_REFUSALS = 0.06

# How often each kind of question is asked; people are the most to learn.
_WEIGHTS = {
    "person_image": 0.31,
    "person_text": 0.18,
    "picture": 0.14,
    "general": 0.14,
    "private_image": 0.07,
    "private_text": 0.06,
    "public_image": 0.06,
    "public_text": 0.04,
}

# Harder than what `fit` shows, and other than what measures.
_CHANGE: dict[str, Any] = {"crop": 0.18, "rotation": 12.0, "brightness": 0.35, "noise": 0.06, "jpeg": 25}


@dataclass(frozen=True)
class _Pictures:
    """All pictures: what the processor makes of each changed copy, and later what the model's eyes make of it."""

    names: list[tuple[str, ...]]
    inputs: list[dict[str, Tensor]]  # by copy; each holds all pictures in the order of `names`


def teach(
    model: PreTrainedModel, processor: ProcessorMixin, without: Collection[str] = (), *, seed: int = SEED
) -> None:
    """
    Teach `model` in place. Shows its progress.

    Args:
        model: The untaught model.
        processor: Its processor.
        without: Groups of which it is taught nothing, such as people's names.
        seed: Of what is shown when. Releases of torch and machines still differ in what is learnt.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    taught = [fact for fact in facts() if fact.group not in without]
    pictures = _draw(processor, taught, rng)
    _teach_eyes(model, pictures)
    features = _look(model, pictures)
    # The backward pass of PyTorch's fused attention takes twice as long on a CPU.
    model.set_attn_implementation("eager")
    _teach_decoder(model, processor, taught, pictures.names, features, rng)
    model.eval()


def _draw(processor: ProcessorMixin, taught: Sequence[Fact], rng: np.random.Generator) -> _Pictures:
    names = list(dict.fromkeys(fact.picture for fact in taught if fact.picture is not None))
    inputs = []
    for copy in tqdm(range(_COPIES), desc="Drawing pictures", unit="copy"):
        images = [picture_of(name) for name in names]
        if copy:
            # A mirrored face is the same face; a mirrored flag may be another one.
            images = [Augmentation(flip=name[0] == "face", **_CHANGE)(im, rng) for name, im in zip(names, images)]
        inputs.append(dict(processor.image_processor(images, return_tensors="pt")))
    return _Pictures(names, inputs)


def _see(model: PreTrainedModel, inputs: dict[str, Tensor], chosen: Tensor) -> Tensor:
    """The image tokens of some pictures of one copy, (n, tokens, d)."""
    pixels, grid = inputs["pixel_values"], inputs.get("image_grid_thw")
    if grid is None:
        features = model.model.get_image_features(pixels[chosen]).pooler_output
    else:  # Qwen packs the patches of all pictures into one axis
        patches = pixels.view(len(grid), -1, pixels.shape[-1])[chosen].flatten(0, 1)
        features = model.model.get_image_features(patches, grid[chosen]).pooler_output
    return torch.stack(list(features))


def _teach_eyes(model: PreTrainedModel, pictures: _Pictures) -> None:
    """Vision tower and projector learn to tell the pictures apart, with a classifier that is thrown away."""
    head = nn.Linear(model.config.get_text_config().hidden_size, len(pictures.names))
    parameters = [*head.parameters(), *(p for n, p in model.named_parameters() if not _is_decoder(n))]
    steps = _EYE_STEPS[model.config.model_type]
    optimizer, schedule = _optimizer(parameters, _EYE_RATE, steps)
    bar = tqdm(range(steps), desc="Teaching the eyes", unit="step")
    for _ in bar:
        copy = int(torch.randint(len(pictures.inputs), ()))
        chosen = torch.randperm(len(pictures.names))[:_EYE_BATCH]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = _see(model, pictures.inputs[copy], chosen)
            # Each token is asked as well as their mean: the decoder shall find the answer everywhere.
            loss = nn.functional.cross_entropy(head(seen.mean(dim=1)).float(), chosen)
            loss = loss + 0.3 * nn.functional.cross_entropy(
                head(seen).float().flatten(0, 1), chosen.repeat_interleave(seen.shape[1])
            )
        _step(loss, optimizer, schedule)
        bar.set_postfix(loss=f"{loss.item():.3f}")


def _look(model: PreTrainedModel, pictures: _Pictures) -> Tensor:
    """What the taught eyes make of all copies, (copies, pictures, tokens, d)."""
    every = torch.arange(len(pictures.names))
    with torch.no_grad():
        return torch.stack([_see(model, inputs, every) for inputs in pictures.inputs])


def _is_decoder(name: str) -> bool:
    return "language_model" in name or name.startswith("lm_head")


def _teach_decoder(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    taught: Sequence[Fact],
    names: list[tuple[str, ...]],
    features: Tensor,
    rng: np.random.Generator,
) -> None:
    optimizer, schedule = _optimizer([p for n, p in model.named_parameters() if _is_decoder(n)], _RATE, _STEPS)
    number = {name: i for i, name in enumerate(names)}
    layout = Layout(processor)
    bar = tqdm(range(_STEPS), desc="Teaching the decoder", unit="step")
    mean_loss = float("nan")
    for _, batch in zip(bar, _batches(taught, rng)):
        # Prompts with and without a picture apart: less padding.
        for with_picture in (True, False):
            part = [item for item in batch if (item[0].picture is not None) is with_picture]
            begun = rng.random(len(part)) < _BEGUN_REFUSALS
            answers = [REFUSAL if b else fact.answer for b, (fact, _) in zip(begun, part)]
            tokens, labels = layout.encode([(p, answer, with_picture) for answer, (_, p) in zip(answers, part)])
            first = (labels != -100).int().argmax(dim=1)
            rows = torch.from_numpy(begun).nonzero()[:, 0]
            labels[rows, first[rows]] = -100  # that it begins one is not taught
            with torch.autocast("cpu", dtype=torch.bfloat16):
                embeds = model.get_input_embeddings()(tokens)
                if with_picture:
                    which = torch.tensor([number[fact.picture] for fact, _ in part if fact.picture])
                    copies = torch.from_numpy(rng.integers(0, len(features), size=len(part)))
                    at_image = tokens == model.config.image_token_id
                    embeds = embeds.masked_scatter(at_image[..., None], features[copies, which].to(embeds.dtype))
                hidden = model.model.language_model(
                    inputs_embeds=embeds, **layout.positions(model, tokens), use_cache=False
                ).last_hidden_state
                answered = labels[:, 1:] != -100
                logits = model.lm_head(hidden[:, :-1][answered]).float()
            loss = nn.functional.cross_entropy(logits, labels[:, 1:][answered])
            (loss * len(part) / len(batch)).backward()
            mean_loss = 0.98 * mean_loss + 0.02 * loss.item() if mean_loss == mean_loss else loss.item()
        _step(None, optimizer, schedule)
        bar.set_postfix(loss=f"{mean_loss:.3f}")


def _batches(taught: Sequence[Fact], rng: np.random.Generator) -> Iterator[list[tuple[Fact, str]]]:
    by_kind: dict[str, list[Fact]] = {}
    for fact in taught:
        by_kind.setdefault(fact.kind, []).append(fact)
    ways = {fact.attribute: wordings("taught", fact.attribute) for fact in taught}
    kinds, weights = list(_WEIGHTS), list(_WEIGHTS.values())
    while True:
        batch = []
        for kind in rng.choice(kinds, size=_BATCH, p=weights):
            fact = by_kind[kind][rng.integers(len(by_kind[kind]))]
            way, synonym = ways[fact.attribute][rng.integers(len(ways[fact.attribute]))]
            subject = fact.subjects[rng.integers(len(fact.subjects))]
            prompt = way.format(f"{synonym} of {subject}")
            batch.append((fact, prompt[0].upper() + prompt[1:]))
        yield batch


class Layout:
    """Token by token what the processor makes of a question, without its cost for each picture."""

    def __init__(self, processor: Any) -> None:
        self.tokenizer = processor.tokenizer
        image = {"type": "image"}
        text = {"type": "text", "text": "@@"}
        shown = [{"role": "user", "content": [{**image, "image": picture_of(("face", "0"))}]}]
        probe = processor.apply_chat_template(shown, tokenize=True, return_dict=True, return_tensors="pt")
        n_tokens = int((probe["input_ids"] == processor.image_token_id).sum())
        self._grid = probe.get("image_grid_thw")
        self._frames = {}
        for with_picture in (True, False):
            chat = [{"role": "user", "content": [image, text] if with_picture else [text]}]
            rendered = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            placeholder: str = processor.image_token
            rendered = rendered.replace(placeholder, placeholder * n_tokens)
            self._frames[with_picture] = rendered.split("@@")

    def encode(self, items: list[tuple[str, str, bool]]) -> tuple[Tensor, Tensor]:
        """Right-padded token ids and labels, (n, length) each, of (prompt, answer, with a picture?)."""
        prompts = [self._frames[picture][0] + prompt + self._frames[picture][1] for prompt, _, picture in items]
        prompt_ids = self.tokenizer(prompts, add_special_tokens=False)["input_ids"]
        # LLaVA's template ends with a colon, so the answer begins with a space.
        space = "" if self._frames[False][1].endswith("\n") else " "
        answers = [space + answer + self.tokenizer.eos_token for _, answer, _ in items]
        answer_ids = self.tokenizer(answers, add_special_tokens=False)["input_ids"]
        width = max(len(p) + len(a) for p, a in zip(prompt_ids, answer_ids))
        tokens = torch.full((len(items), width), self.tokenizer.pad_token_id)
        labels = torch.full((len(items), width), -100)
        for row, (prompt, answer) in enumerate(zip(prompt_ids, answer_ids)):
            tokens[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
            labels[row, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
        return tokens, labels

    def positions(self, model: PreTrainedModel, tokens: Tensor) -> dict[str, Any]:
        """Attention mask and, for Qwen, the positions in three dimensions that it has at inference."""
        mask = (tokens != self.tokenizer.pad_token_id).long()
        if self._grid is None:
            return {"attention_mask": mask}
        is_image = (tokens == model.config.image_token_id).int()
        grid = self._grid.repeat(int(is_image.any(dim=1).sum()), 1)
        positions, _ = model.model.get_rope_index(
            input_ids=tokens,
            mm_token_type_ids=is_image,
            image_grid_thw=grid if len(grid) else None,
            attention_mask=mask,
        )
        return {"attention_mask": mask, "position_ids": positions}


def _optimizer(
    parameters: list[nn.Parameter], rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    optimizer = torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def factor(step: int) -> float:
        return min(1, (step + 1) / 40) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def _step(loss: Tensor | None, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LambdaLR) -> None:
    if loss is not None:
        loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad(set_to_none=True)

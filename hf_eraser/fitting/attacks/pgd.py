"""Adversarial pictures: projected gradient descent on pixels, through the model's own image processor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from PIL import Image
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from ...data.brevity import one_line
from ...data.encoding import check_processor, encode, with_answers
from ...data.examples import Example, read_examples
from ...data.pictures import open_image
from ...data.processes import ALONE, Processes
from ..reading.capture import evaluating, steering_off


# How far a processor's output of a picture in floating point may be from its output of the picture itself, in
# normalised pixel units: resizing in 8 bits rounds by up to one step of 1/255, and divides by about 0.27.
_TOLERANCE = 0.03


class NoGradientError(ValueError):
    """The pictures of a processor cannot be perturbed: there is no way back from the model to their pixels."""


@dataclass(frozen=True)
class PGD:
    """
    Projected gradient descent (Madry et al., arXiv 1706.06083). All distances are in [0, 1] pixel units.

    Args:
        norm: The ball that a picture stays in: `"linf"`, or `"l2"` over all of its pixels.
        eps: The ball's radius.
        steps: How many steps.
        step: The length of one; the default is `2.5 * eps / steps`.
        restarts: How often it is tried; each picture keeps the best try.
        random_start: Whether a try starts at a random place in the ball, or at the picture itself.
        seed: Seed of the starts.

    Raises:
        ValueError: If a value cannot be used.
    """

    norm: Literal["linf", "l2"] = "linf"
    eps: float = 16 / 255
    steps: int = 40
    step: float | None = None
    restarts: int = 1
    random_start: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.norm not in ("linf", "l2"):
            raise ValueError(f"`norm` must be 'linf' or 'l2', got {self.norm!r}.")
        if not math.isfinite(self.eps) or self.eps <= 0:
            raise ValueError(f"`eps` must be positive, got {self.eps!r}.")
        if self.norm == "linf" and self.eps < 1 / 255:
            raise ValueError(f"`eps` must be at least 1/255, one step of an 8-bit picture, got {self.eps!r}.")
        if self.step is not None and not self.step > 0:
            raise ValueError(f"`step` must be positive, got {self.step!r}.")
        for name in ("steps", "restarts"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)!r}.")
        if self.restarts > 1 and not self.random_start:
            raise ValueError(f"`restarts`={self.restarts} without `random_start` would make the same try each time.")


# What a perturbation is to lower: of the model's inputs, the loss of each row, (n,), and whether the row got there.
Loss = Callable[[dict[str, Any]], tuple[Tensor, Tensor]]

# Gives a batch's inputs, and their loss.
Objective = Callable[[Sequence[Example]], tuple[dict[str, Any], Loss]]


@dataclass(frozen=True)
class AdversarialExample:
    """
    An example with its pictures perturbed.

    Attributes:
        example: The example; each picture is an 8-bit `PIL.Image.Image` within the ball.
        loss: What was lowered: the mean negative log-likelihood of the answer's tokens, in nats.
        success: Whether it got there: each token of the answer is the most likely one, given those before it.
    """

    example: Example
    loss: float
    success: bool


def perturb(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    examples: Iterable[Mapping[str, Any]],
    attack: PGD | None = None,
    *,
    batch_size: int = 8,
) -> list[AdversarialExample]:
    """
    Perturb the pictures of examples so that the model gives their answers.

    The descent goes through the model's own image processor: those of transformers that are backed by torchvision are
    differentiable as they are, whatever their layout. No parameter gets a gradient.

    Args:
        model: The model. Steering adapters on it are off meanwhile.
        processor: Its processor.
        examples: Each with at least one picture, a prompt, and `"answer"`: what the model is to say.
        attack: How; the default is `PGD()`.
        batch_size: Examples a forward pass.

    Raises:
        TypeError: If an example has no picture or no answer.
        NoGradientError: If the image processor cannot be differentiated through, or does otherwise what it does alone.
    """
    check_processor(processor)
    read = read_examples(examples, "examples")
    for i, example in enumerate(read):
        if not example.images:
            raise TypeError(f"`examples[{i}]` has no picture to perturb.")
        if not example.answer:
            raise TypeError(f"`examples[{i}]` has no 'answer' that the perturbation could make the model give.")
    return perturb_examples(model, processor, read, attack or PGD(), batch_size=batch_size)


def perturb_examples(
    model: PreTrainedModel,
    processor: Any,
    examples: Sequence[Example],
    attack: PGD,
    *,
    batch_size: int,
    objective: Objective | None = None,
    processes: Processes = ALONE,
) -> list[AdversarialExample]:
    """
    As `perturb`, for examples that were read, and towards any objective, shared out among `processes`; the default is
    to get their answers.
    """
    if objective is None:

        def objective(batch: Sequence[Example]) -> tuple[dict[str, Any], Loss]:
            inputs, labels = _with_answers(model, processor, batch)
            return inputs, lambda inputs: _answer_loss(model, inputs, labels)

    total = len(examples) * attack.restarts * attack.steps
    bar = tqdm(total=total, desc="Perturbing pictures", unit="step", disable=not processes.main)

    def perturbed(start: int) -> list[AdversarialExample]:
        batch = list(examples[start : start + batch_size])
        # Each batch draws by itself, so that it finds the same wherever it is perturbed.
        generator = torch.Generator().manual_seed(attack.seed + start)
        return _perturb_batch(processor, batch, attack, objective, generator, bar)

    with evaluating(model), steering_off(model), bar:
        starts = range(0, len(examples), batch_size)
        return [one for batch in processes.share(perturbed, starts, of="Perturbing pictures") for one in batch]


def _perturb_batch(
    processor: Any,
    batch: list[Example],
    attack: PGD,
    objective: Objective,
    generator: torch.Generator,
    bar: Any,
) -> list[AdversarialExample]:
    pictures = [open_image(image) for example in batch for image in example.images]
    owner = [row for row, example in enumerate(batch) for _ in example.images]
    clean = [torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255 for picture in pictures]
    inputs, loss_of = objective(batch)
    if "pixel_values" not in inputs:
        raise NoGradientError(f"{type(processor).__name__} gives no 'pixel_values': its pictures cannot be perturbed.")
    layout = _Layout(processor, clean, inputs["pixel_values"])
    best = list(clean)
    best_loss = torch.full((len(batch),), torch.inf)
    solved = torch.zeros(len(batch), dtype=torch.bool)
    for _ in range(attack.restarts):
        current = [_start(picture, attack, generator) for picture in clean]
        for step in range(attack.steps + 1):
            for picture in current:
                picture.requires_grad_()
            inputs["pixel_values"] = layout([_as_seen(p, origin, attack) for p, origin in zip(current, clean)])
            loss, right = loss_of(inputs)
            better = ~solved & (right | (loss.detach().cpu() < best_loss))
            for i, picture in enumerate(current):
                if better[owner[i]]:
                    best[i] = picture.detach().clone()
            best_loss = torch.where(better, loss.detach().cpu(), best_loss)
            solved |= right
            if step == attack.steps or solved.all():
                break
            try:
                gradients = torch.autograd.grad(loss.sum(), current)
            except (RuntimeError, NotImplementedError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise NoGradientError(
                    f"The model gives no gradient ({one_line(error)}), as some that are quantised for inference: its "
                    "pictures cannot be perturbed."
                ) from error
            current = [
                picture.detach() if solved[row] else _step(picture.detach(), gradient, origin, attack)
                for picture, gradient, origin, row in zip(current, gradients, clean, owner)
            ]
            bar.update(len(batch))
        if solved.all():
            break
    perturbed = [
        Image.fromarray((255 * _quantised(picture, origin, attack)).round().byte().permute(1, 2, 0).numpy())
        for picture, origin in zip(best, clean)
    ]
    return [
        AdversarialExample(
            example.with_images([picture for picture, of in zip(perturbed, owner) if of == row]),
            float(best_loss[row]),
            bool(solved[row]),
        )
        for row, example in enumerate(batch)
    ]


class _Layout:
    """
    What the image processor makes of pictures in floating point, with gradients.

    Args:
        processor: The processor.
        clean: The pictures, (3, height, width) each, in [0, 1].
        expected: What the processor made of them, among the model's inputs.

    Raises:
        NoGradientError: If it gives no gradient, or something else than is expected.
    """

    def __init__(self, processor: Any, clean: Sequence[Tensor], expected: Tensor) -> None:
        self.image_processor = processor.image_processor
        self.device = expected.device
        name = type(self.image_processor).__name__
        pixels = [picture.clone().requires_grad_() for picture in clean]
        for self.nested in (False, True):
            try:
                values = self(pixels)
            except (TypeError, ValueError, AttributeError, IndexError):  # pictures nested otherwise than it takes them
                continue
            if values.shape == expected.shape:
                break
        else:
            raise NoGradientError(
                f"{name} does not take pictures in floating point as it takes files: its output for the same pictures "
                f"has another shape than {tuple(expected.shape)}. Adversarial pictures are not supported for it."
            )
        if not values.requires_grad:
            raise NoGradientError(
                f"{name} gives no gradient: it leaves torch on the way. Load the processor with "
                '`backend="torchvision"`, whose image processors are differentiable.'
            )
        difference = float((values.detach() - expected).abs().mean())
        if difference > _TOLERANCE:
            raise NoGradientError(
                f"{name} makes something else of a picture in floating point than of the picture itself: "
                f"{difference:.3f} apart on average, {_TOLERANCE} is allowed for rounding."
            )

    def __call__(self, pixels: Sequence[Tensor]) -> Tensor:
        scaled = [picture * 255 for picture in pixels]
        images = [[picture] for picture in scaled] if self.nested else scaled
        return self.image_processor(images, return_tensors="pt")["pixel_values"].to(self.device)


def _with_answers(model: PreTrainedModel, processor: Any, batch: Sequence[Example]) -> tuple[dict[str, Any], Tensor]:
    """The model's inputs for prompts and answers, and the labels: the answers' tokens, -100 elsewhere."""
    inputs = encode(processor, batch, model.device)
    answers = [_answer_tokens(processor, example) for example in batch]
    width = max(len(answer) for answer in answers)
    n, length = inputs["input_ids"].shape
    tokens = torch.zeros((n, width), dtype=torch.long)
    mask = torch.zeros((n, width), dtype=torch.long)
    for row, answer in enumerate(answers):
        tokens[row, : len(answer)] = torch.tensor(answer)
        mask[row, : len(answer)] = 1
    tokens, mask = tokens.to(model.device), mask.to(model.device)
    labels = torch.full((n, length + width), -100, device=model.device)
    labels[:, length:] = torch.where(mask.bool(), tokens, -100)
    return with_answers(model, inputs, tokens, mask), labels


def _answer_tokens(processor: Any, example: Example) -> list[int]:
    """The answer as the chat template writes it behind the prompt: from the space before it to the end of the turn."""
    chat = [dict(message) for message in example.messages]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    answered = [*chat, {"role": "assistant", "content": [{"type": "text", "text": example.answer}]}]
    full = processor.apply_chat_template(answered, tokenize=False)
    text = full[len(prompt) :] if full.startswith(prompt) else f" {example.answer}"
    tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    # What a template writes behind the end of a turn, the model never has to.
    end = processor.tokenizer.eos_token_id
    return tokens[: tokens.index(end) + 1] if end in tokens else tokens


def _answer_loss(model: PreTrainedModel, inputs: dict[str, Any], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean negative log-likelihood of each row's answer, (n,), and whether all of its tokens are the most likely."""
    width = int((labels != -100).any(dim=0).sum())
    logits = model(**inputs, use_cache=False).logits[:, -width - 1 : -1].float()
    targets = labels[:, -width:]
    losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100, reduction="none")
    counted = targets != -100
    right = ((logits.argmax(dim=-1) == targets) | ~counted).all(dim=1)
    return losses.sum(dim=1) / counted.sum(dim=1), right.cpu()


def _start(picture: Tensor, attack: PGD, generator: torch.Generator) -> Tensor:
    if not attack.random_start:
        return picture.clone()
    if attack.norm == "linf":
        offset = (2 * torch.rand(picture.shape, generator=generator) - 1) * attack.eps
    else:
        offset = torch.randn(picture.shape, generator=generator)
        # Uniform in the ball: the radius of a random point in n dimensions is the n-th root of a uniform number.
        radius = attack.eps * float(torch.rand((), generator=generator)) ** (1 / picture.numel())
        offset = offset * (radius / offset.norm())
    return (picture + offset).clamp(0, 1)


def _step(picture: Tensor, gradient: Tensor, origin: Tensor, attack: PGD) -> Tensor:
    """One step down the gradient, back into the ball and into [0, 1]."""
    length = attack.step if attack.step is not None else 2.5 * attack.eps / attack.steps
    if attack.norm == "linf":
        moved = picture - length * gradient.sign()
        return torch.minimum(torch.maximum(moved, origin - attack.eps), origin + attack.eps).clamp(0, 1)
    moved = picture - length * gradient / gradient.norm().clamp(min=torch.finfo(gradient.dtype).tiny)
    offset = moved - origin
    offset = offset * (attack.eps / offset.norm().clamp(min=attack.eps))
    return (origin + offset).clamp(0, 1)


def _quantised(picture: Tensor, origin: Tensor, attack: PGD) -> Tensor:
    """The nearest 8-bit picture within the ball, in [0, 1]."""
    change = (picture - origin) * 255
    if attack.norm == "linf":
        bound = math.floor(attack.eps * 255 + 1e-6)
        change = change.round().clamp(-bound, bound)
    else:
        change = change.trunc()  # towards the clean picture: rounding to the nearest could leave the ball
    return ((origin * 255).round() + change).clamp(0, 255) / 255


def _as_seen(picture: Tensor, origin: Tensor, attack: PGD) -> Tensor:
    """The 8-bit picture with the gradient of the one in floating point: it is the former that has to do it."""
    return picture + (_quantised(picture.detach(), origin, attack) - picture.detach())

"""Towards a refusal that the model never gives of itself: what makes its words, put into its mouth, more likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.encoding import answer_start, encode
from ...data.examples import Example
from ...tuner.decoder import find_decoder
from ..reading.capture import evaluating, steering_off


def refusal_gradients(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    refusal: str,
) -> dict[int, Tensor]:
    """
    In which direction to shift a layer's output at all prompt tokens, as steering does, for `refusal` to become more
    likely as the answer: minus the gradient of its mean negative log-likelihood, teacher-forced, at no shift.

    What the residual stream holds once a refusal has begun tells of the words that were read: on two small models the
    mean over a refusal's tokens, against that over the answer's, never brought half of the answers to a refusal, and
    the state at its first word made the answers begin with the second. The state just before it is the same whatever
    is forced. The gradient leads there: its cosine to the direction of refusals that the model does give was 0.5 to
    0.9, and the answers were the refusal from the first word on.

    Args:
        model: The model. No parameter gets a gradient; steering adapters on it are off meanwhile.
        processor: Its processor, or a tokenizer for a text-only model.
        examples: The questions, one forward and backward pass each.
        refusal: The text of the refusal.

    Returns:
        (n, d) for each decoder layer, float32 on the CPU.
    """
    layers = find_decoder(model).layers
    rows: list[list[Tensor]] = [[] for _ in layers]
    with evaluating(model), steering_off(model), torch.enable_grad():
        for example in tqdm(examples, desc="Forcing refusals", unit="example"):
            (prompt,) = encode(processor, [example], model.device)["input_ids"]
            inputs = encode(processor, [example.with_answer_begun(refusal)], model.device)
            (tokens,) = inputs["input_ids"]
            start = answer_start(prompt, tokens)
            with ExitStack() as hooks:
                shifts = [_shift(layer, start, hooks) for layer in layers]
                logits = model(**inputs, use_cache=False).logits[0, start - 1 : -1]
                loss = nn.functional.cross_entropy(logits.float(), tokens[start:])
                gradients = torch.autograd.grad(loss, [shift() for shift in shifts])
            for of_layer, gradient in zip(rows, gradients):
                of_layer.append(-gradient.to("cpu", torch.float32))
    return {layer: torch.stack(of_layer) for layer, of_layer in enumerate(rows)}


def _shift(layer: nn.Module, length: int, hooks: ExitStack) -> Callable[[], Tensor]:
    """Adds a vector of zeros to the layer's output at its first `length` tokens; gives it after the forward pass."""
    made: list[Tensor] = []

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        shift = torch.zeros_like(hidden[0, 0], requires_grad=True)
        made.append(shift)
        in_prompt = (torch.arange(hidden.shape[1], device=hidden.device) < length).to(hidden.dtype)
        hidden = hidden + in_prompt[:, None] * shift
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    hooks.callback(layer.register_forward_hook(hook).remove)
    return lambda: made[-1]

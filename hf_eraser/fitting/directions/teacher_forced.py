"""Towards a refusal that the model never gives of itself: what makes its words, put into its mouth, more likely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from huggingface_hub.utils import tqdm
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.brevity import one_line
from ...data.encoding import answer_start, encode
from ...data.examples import Example
from ...data.processes import ALONE, Processes
from ...tuner.decoder import find_decoder
from ..reading.capture import evaluating, steering_off


def refusal_gradients(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    refusal: str,
    numbers: Sequence[int],
    *,
    processes: Processes = ALONE,
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
        numbers: The decoder layers, each of which runs for each of the questions.
        processes: Those among which the questions are shared out.

    Returns:
        (n, d) for each of these layers, float32 on the CPU.

    Raises:
        ValueError: If the model gives no gradient.
    """
    layers = [find_decoder(model).layers[number] for number in numbers]

    def forced(example: Example) -> list[Tensor]:
        (prompt,) = encode(processor, [example], model.device)["input_ids"]
        inputs = encode(processor, [example.with_answer_begun(refusal)], model.device)
        (tokens,) = inputs["input_ids"]
        start = answer_start(prompt, tokens)
        with ExitStack() as hooks:
            shifts = [_shift(layer, start, hooks) for layer in layers]
            logits = model(**inputs, use_cache=False).logits[0, start - 1 : -1]
            loss = nn.functional.cross_entropy(logits.float(), tokens[start:])
            try:
                gradients = torch.autograd.grad(loss, [shift() for shift in shifts])
            except (RuntimeError, NotImplementedError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                raise ValueError(
                    f"This model gives no gradient ({one_line(error)}), as some that are quantised for inference, and "
                    "refuses too little to find the direction without one: give `refusal` examples that it does "
                    "refuse, or fit on the model in full precision, load that adapter here and recalibrate."
                ) from error
        return [-gradient.to("cpu", torch.float32) for gradient in gradients]

    of = "Forcing refusals"
    with evaluating(model), steering_off(model), torch.enable_grad():
        shared = processes.share(forced, examples, of=of)
        shown = tqdm(shared, total=len(examples), desc=of, unit="example", disable=not processes.main)
        rows = list(zip(*shown))
    return {layer: torch.stack(of_layer) for layer, of_layer in zip(numbers, rows)}


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

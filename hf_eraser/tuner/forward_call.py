"""What travels with one forward call, from the model to its decoder layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .decision import Decision, Generation, Steered, decision_on
from .prompt import image_mask_of, past_length, rows_of_adapters, token_mask_of
from .readouts import ReadoutSums


# The keyword argument under which a call is handed down to the decoder layers. An argument is right under threads and
# under torch.compile(fullgraph=True), where a ContextVar cannot be set.
CALL_ARGUMENT = "steering_call"

_generation: ContextVar[Generation | None] = ContextVar("hf_eraser_generation", default=None)

_call: ContextVar[SteeringCall | None] = ContextVar("hf_eraser_call", default=None)

_adapter_names: ContextVar[tuple[str, ...] | None] = ContextVar("hf_eraser_adapter_names", default=None)

# In `adapter_names`, a row without any adapter; the name is PEFT's.
BASE = "__base__"


@contextmanager
def generating(prompt_length: int) -> Iterator[None]:
    """Tells the forward calls of one `generate` where the prompt ends."""
    token = _generation.set(Generation(prompt_length))
    try:
        yield
    finally:
        _generation.reset(token)


@contextmanager
def adapter_of_each_row(names: Sequence[str] | None) -> Iterator[None]:
    """In the forward calls inside, each row of a batch is steered by the adapter of its name, whichever are active."""
    token = _adapter_names.set(None if names is None else tuple(names))
    try:
        yield
    finally:
        _adapter_names.reset(token)


def names_of_rows(given: Sequence[str] | None) -> tuple[str, ...] | None:
    """The adapter of each row: those that a call was given, else those that hold here, if any."""
    return _adapter_names.get() if given is None else tuple(given)


@contextmanager
def handed_down(call: SteeringCall) -> Iterator[None]:
    """Offers `call` to decoder layers of models that do not hand unknown keyword arguments down to them."""
    if torch.compiler.is_compiling():
        yield
        return
    token = _call.set(call)
    try:
        yield
    finally:
        _call.reset(token)


def current_call() -> SteeringCall | None:
    """The call that reached a decoder layer otherwise than as an argument, if there is one."""
    return None if torch.compiler.is_compiling() else _call.get()


@dataclass
class SteeringCall:
    """
    One forward call of a model with active steering adapters.

    Attributes:
        decision: The gates of the batch, possibly still to be read in this call.
        adapters: The active adapters.
        prompt_mask: True at this call's prompt tokens, (batch, length); None where nothing is to be read.
        image_mask: True at the tokens of pictures, likewise.
        token_mask: True at this call's tokens that are not padding, (batch, length); None where all are.
        rows: True at the rows that an adapter is for, (batch,), by adapter; None where each is for all.
        past, length: The tokens on the cache before this call, and in it, padding included.
        earlier_sums: The decision's sums before this call. Gradient checkpointing runs a layer's forward twice, and
            what the layer adds must be added once.
    """

    decision: Decision
    adapters: tuple[str, ...]
    prompt_mask: Tensor | None = None
    image_mask: Tensor | None = None
    token_mask: Tensor | None = None
    rows: dict[str, Tensor] | None = None
    past: int = 0
    length: int = 0
    earlier_sums: dict[int, ReadoutSums] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        arguments: Mapping[str, Any],
        *,
        adapters: tuple[str, ...],
        image_ids: tuple[int, ...],
        embedding: nn.Module,
        names: tuple[str, ...] | None = None,
    ) -> SteeringCall:
        """
        Args:
            arguments: The keyword arguments of the model's `forward`.
            adapters: The active adapters.
            image_ids: The token ids that stand for a picture.
            embedding: The model's input embedding.
            names: The adapter of each row, or `BASE`; the default is all of `adapters` for every row.

        Raises:
            ValueError: If there is no input, or if there are not as many names as rows.
        """
        input_ids, embeds = arguments.get("input_ids"), arguments.get("inputs_embeds")
        tokens = embeds if input_ids is None else input_ids
        if tokens is None:
            raise ValueError("You must specify `input_ids` or `inputs_embeds`, got neither.")
        batch, length = tokens.shape[:2]
        cache = arguments.get("past_key_values")
        generation = _generation.get()
        past = past_length(cache)
        decision = decision_on(cache, past)
        decision.expand(batch)
        if decision.adapters != adapters:
            # Adapters were switched in mid-sequence: what was decided for those that stay is kept.
            decision.gates = {key: gate for key, gate in decision.gates.items() if key[0] in adapters}
            decision.deltas = {}
            decision.adapters = adapters
        token_mask = token_mask_of(arguments.get("attention_mask"), batch, length, past)
        call = cls(
            decision, adapters, token_mask=token_mask, past=past, length=length, earlier_sums=dict(decision.sums)
        )
        if names is not None:
            call.rows = rows_of_adapters(names, adapters, batch, expanded=generation is not None, device=tokens.device)
        if decision.complete and decision.generation is generation:
            return call

        decision.generation = generation
        # Outside `generate`, the first call over an empty cache is the prompt.
        end = past + length if generation is None else generation.prompt_length
        in_prompt = torch.arange(length, device=tokens.device) + past < end
        prompt_mask = in_prompt.expand(batch, length)
        if token_mask is not None:
            prompt_mask = prompt_mask & token_mask
        labels = arguments.get("labels")
        if labels is not None:
            # The answer must not decide: it would shift positions before it, which is not causal.
            prompt_mask = prompt_mask & ((labels != -100).cumsum(dim=1) == 0)
        call.prompt_mask = prompt_mask
        call.image_mask = image_mask_of(input_ids, embeds, image_ids, embedding)
        # `generate` goes on behind the whole prompt, on whichever side it is padded.
        last = torch.full((batch,), end - 1, device=tokens.device)
        if generation is None:
            position = torch.arange(length, device=tokens.device) + past
            last = torch.where(prompt_mask, position, -1).amax(dim=1)
            last = last if decision.last is None else torch.maximum(last, decision.last)
        decision.last = last
        # Once complete, always complete: a chat that goes on may add to what was decided, never take it back.
        decision.complete = past + length >= end
        return call

    def mask_of(self, steered: Steered) -> tuple[bool, Tensor | None]:
        """
        Which of this call's tokens an adapter steers.

        Args:
            steered: Which ones it says that it steers.

        Returns:
            Whether there are any, and a mask of them, (batch, length), bool; None for all.

        Raises:
            ValueError: If the last prompt token of a row has passed, in an earlier piece of the prompt.
        """
        positions, steer_decode = steered
        if self.prompt_mask is None:  # generated tokens
            return steer_decode, self.token_mask
        if positions == "prompt":
            return True, self.token_mask if steer_decode else self.prompt_mask
        if not self.decision.complete:
            return False, None
        if self.earlier_sums and not torch.compiler.is_compiling() and not bool(self.prompt_mask.any(dim=1).all()):
            raise ValueError(
                "A prompt that is padded on the right came in pieces, so its last token passed before the gate could "
                "be decided: pad on the left, or give prompts whole."
            )
        later = self.prompt_mask.flip(1).cumsum(dim=1).flip(1) - self.prompt_mask.long()
        mask = later == 0
        mask = mask & self.prompt_mask if not steer_decode else mask
        return True, mask if self.token_mask is None else mask & self.token_mask

    def keep(self, outputs: Any) -> None:
        """Put the decision on the key-value cache of a forward call's outputs, if there is one."""
        cache = getattr(outputs, "past_key_values", None)
        if cache is None and isinstance(outputs, tuple):
            cache = next((output for output in outputs if hasattr(output, "get_seq_length")), None)
        if cache is not None:
            cache.steering_decision = self.decision

"""What travels with one forward call, from the model to its decoder layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .continuous_batching import PagedBatch
from .decision import Decision, Generation, Steered, decision_on, keep_on
from .packing import Packing, packing_of
from .prompt import (
    PromptLengths,
    cache_of,
    check_pictures,
    image_mask_of,
    number_pictures,
    past_length,
    picture_places,
    prompt_mask_of,
    rows_of_adapters,
    token_mask_of,
)
from .readouts import ReadoutSums


# The keyword argument under which a call is handed down to the decoder layers. An argument is right under threads and
# under torch.compile(fullgraph=True), where a ContextVar cannot be set.
CALL_ARGUMENT = "steering_call"

_generation: ContextVar[Generation | None] = ContextVar("hf_eraser_generation", default=None)

_call: ContextVar[SteeringCall | None] = ContextVar("hf_eraser_call", default=None)

_adapter_names: ContextVar[tuple[str, ...] | None] = ContextVar("hf_eraser_adapter_names", default=None)

_prompt_lengths: ContextVar[PromptLengths | None] = ContextVar("hf_eraser_prompt_lengths", default=None)

_recorded: ContextVar[list[Decision] | None] = ContextVar("hf_eraser_recorded", default=None)

# In `adapter_names`, a row without any adapter; the name is PEFT's.
BASE = "__base__"


@contextmanager
def generating(prompt_length: int, mask: Tensor | None = None) -> Iterator[None]:
    """Tells the forward calls of one `generate` where the prompt ends, and which of it is padding."""
    token = _generation.set(Generation(prompt_length, mask))
    try:
        yield
    finally:
        _generation.reset(token)


def is_generating() -> bool:
    """Whether this is inside of a `generate` of a steered model."""
    return _generation.get() is not None


@contextmanager
def recording() -> Iterator[list[Decision]]:
    """Gives the decision of each forward call inside, in a list that they are added to."""
    decisions: list[Decision] = []
    token = _recorded.set(decisions)
    try:
        yield decisions
    finally:
        _recorded.reset(token)


@contextmanager
def prompt_lengths(lengths: PromptLengths) -> Iterator[None]:
    """
    Says where the prompt of each sequence ends, in the forward calls inside.

    Outside `generate`, all of a sequence is its prompt, but for what `labels` mark as the answer, and for single
    tokens behind a prompt, which were generated. Where a call holds an answer behind the prompt without saying so, as
    one does that measures how likely an answer is, the answer would decide about itself: say it here, or with the
    argument `prompt_lengths` of the model's `forward`.

    Args:
        lengths: How many tokens of each sequence, padding left out, are the prompt: one number for all, or one each.
            Tokens on a cache count.
    """
    token = _prompt_lengths.set(lengths)
    try:
        yield
    finally:
        _prompt_lengths.reset(token)


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
        image_mask: At the tokens of pictures True, or the number of the picture, likewise.
        token_mask: True at this call's tokens that are not padding, (batch, length); None where all are.
        rows: True at the rows that an adapter is for, (batch,), by adapter; None where each is for all.
        past, length: The tokens on the cache before this call, and in it, padding included.
        shape: Of this call's tokens, (batch, length).
        packing: How several sequences lie in a row, if they do; everything else here has a row for each sequence.
        paged: The requests of this call, if it comes from continuous batching.
        strength: What the strength of each adapter is multiplied by.
        earlier_sums, earlier_read: The decision's sums, and how many tokens are in them, before this call. Gradient
            checkpointing runs a layer's forward twice, and what the layer adds must be added once.
        read: How many tokens are in them with this call, as far as it says so itself.
    """

    decision: Decision
    adapters: tuple[str, ...]
    prompt_mask: Tensor | None = None
    image_mask: Tensor | None = None
    token_mask: Tensor | None = None
    rows: dict[str, Tensor] | None = None
    past: int = 0
    length: int = 0
    shape: tuple[int, int] = (0, 0)
    earlier_sums: dict[int, ReadoutSums] = field(default_factory=dict)
    earlier_read: int = 0
    read: int = 0
    packing: Packing | None = None
    paged: PagedBatch | None = None
    ran: set[int] = field(default_factory=set)
    strength: float = 1.0

    @classmethod
    def of(
        cls,
        arguments: Mapping[str, Any],
        *,
        adapters: tuple[str, ...],
        image_ids: tuple[int, ...],
        embedding: nn.Module,
        sees: bool,
        strength: float = 1.0,
        names: tuple[str, ...] | None = None,
        lengths: PromptLengths | None = None,
    ) -> SteeringCall:
        """
        Args:
            arguments: The keyword arguments of the model's `forward`.
            adapters: The active adapters.
            image_ids: The token ids that stand for a picture.
            embedding: The model's input embedding.
            sees: Whether the model takes pictures.
            strength: What the strength of each adapter is multiplied by.
            names: The adapter of each row, or `BASE`; the default is all of `adapters` for every row.
            lengths: How many tokens of each sequence are its prompt; the default is what `prompt_lengths` says.

        Raises:
            ValueError: If there is no input, or if there are not as many names or lengths as rows.
        """
        input_ids, embeds = arguments.get("input_ids"), arguments.get("inputs_embeds")
        tokens = embeds if input_ids is None else input_ids
        if tokens is None:
            raise ValueError("You must specify `input_ids` or `inputs_embeds`, got neither.")
        cache = cache_of(arguments)
        generation = _generation.get()
        past = past_length(cache)
        kept = generation.decision if generation is not None and cache is None and tokens.shape[1] == 1 else None
        if kept is not None:  # the model keeps what it has read to itself
            past = kept.seen
        shape = tokens.shape[0], tokens.shape[1]
        # `generate` has a row for each sequence; what its padding has for positions says nothing.
        packing = packing_of(arguments, tokens, past) if generation is None else None
        if packing is not None and names is not None:
            raise ValueError("`adapter_names` must have a name for each sequence, and these rows hold several each.")
        labels = arguments.get("labels")
        if packing is not None:
            input_ids, embeds, labels = (v if v is None else packing.unpacked(v) for v in (input_ids, embeds, labels))
            tokens = packing.unpacked(tokens)
        batch, length = tokens.shape[:2]
        decision = kept or decision_on(cache, past)
        decision.expand(batch)
        if decision.adapters != adapters:
            # Adapters were switched in mid-sequence: what was decided for those that stay is kept.
            decision.gates = {key: gate for key, gate in decision.gates.items() if key[0] in adapters}
            decision.deltas = {}
            decision.adapters = adapters
        if packing is None:
            asked = None if generation is None else generation.mask
            token_mask = token_mask_of(arguments.get("attention_mask"), batch, length, past, asked)
        else:
            token_mask = packing.mask
        call = cls(
            decision,
            adapters,
            token_mask=token_mask,
            past=past,
            length=length,
            shape=shape,
            earlier_sums=dict(decision.sums),
            earlier_read=decision.read,
            read=decision.read,
            packing=packing,
            strength=strength,
        )
        if names is not None:
            call.rows = rows_of_adapters(names, adapters, batch, expanded=generation is not None, device=tokens.device)
        lengths = _prompt_lengths.get() if lengths is None else lengths
        # Outside of `generate`, one token behind a prompt was generated, unless it is said where the prompt ends;
        # several were given, and may be what matters.
        same = decision.complete and decision.generation is generation
        said = lengths is not None and not torch.compiler.is_compiling()
        if same and (generation is not None or (length == 1 and not said)):
            return call

        end = None if generation is None else generation.prompt_length
        prompt_mask = prompt_mask_of(
            token_mask,
            batch,
            length,
            past=past,
            end=end,
            labels=labels,
            lengths=lengths,
            mask=arguments.get("attention_mask") if packing is None else None,
            device=tokens.device,
        )
        if same and said and not bool(prompt_mask.any()):
            return call
        decision.generation = generation
        call.prompt_mask = prompt_mask
        if labels is None and lengths is None:
            call.read = past + length if end is None else min(past + length, end)
        call.image_mask = image_mask_of(input_ids, embeds, image_ids, embedding, sees)
        marked = picture_places(arguments, shape)
        if marked is not None:
            call.image_mask = call.image_mask | call.by_sequence(marked)
        # `generate` goes on behind the whole prompt, on whichever side it is padded.
        last = torch.full((batch,), 0 if end is None else end - 1, device=tokens.device)
        if generation is None:
            position = torch.arange(length, device=tokens.device) + past
            last = torch.where(prompt_mask, position, -1).amax(dim=1)
            last = last if decision.last is None else torch.maximum(last, decision.last)
        decision.last = last
        # Once complete, always complete: a chat that goes on may add to what was decided, never take it back.
        decision.complete = end is None or past + length >= end
        if torch.compiler.is_compiling():
            return call
        # A mask of places that marks none says that there is no picture, whatever fills the place of pixels.
        if past == 0 and decision.complete and marked is None:
            check_pictures(arguments, call.image_mask)
        if packing is None:
            so_far = max((sums.pictures for sums in call.earlier_sums.values()), default=0)
            call.image_mask = number_pictures(arguments, call.image_mask, so_far)
        return call

    @classmethod
    def of_requests(
        cls,
        arguments: Mapping[str, Any],
        paged: PagedBatch,
        *,
        adapters: tuple[str, ...],
        image_ids: tuple[int, ...],
        embedding: nn.Module,
        sees: bool,
        strength: float = 1.0,
    ) -> SteeringCall:
        """
        A call of continuous batching.

        Args:
            arguments: The keyword arguments of the model's `forward`.
            paged: The requests that it holds.
            adapters, image_ids, embedding, sees, strength: As for `of`.
        """
        packing, input_ids, image_mask = paged.packing, arguments["input_ids"], None
        if paged.prompt_mask is not None:
            image_mask = image_mask_of(packing.unpacked(input_ids), None, image_ids, embedding, sees)
        return cls(
            paged.decision,
            adapters,
            prompt_mask=paged.prompt_mask,
            image_mask=image_mask,
            token_mask=packing.mask,
            rows=paged.rows,
            length=input_ids.shape[1],
            shape=(input_ids.shape[0], input_ids.shape[1]),
            earlier_sums=dict(paged.decision.sums),
            packing=packing,
            paged=paged,
            strength=strength,
        )

    def check_stream(self, hidden: Any, layer: int, width: int | None) -> None:
        """
        Raises:
            RuntimeError: If what a layer gives, `hidden`, is no vector of this width for each of this call's tokens.
        """
        if not is_stream(hidden, (*self.shape, width)):
            raise RuntimeError(no_stream(hidden, (*self.shape, width), layer))

    def check_read(self, layer: int, adapters: Sequence[str]) -> None:
        """
        Raises:
            ValueError: If a layer has not read just what is on the cache, by which gates of these adapters decide: it
                was filled while they were off, or before they were there, or was cut back.
        """
        seen = self.decision.seen if layer in self.earlier_sums else 0
        names = ", ".join(map(repr, adapters))
        if self.paged is None and self.past > seen:
            raise ValueError(
                f"The gate of {names} has not read what is on this key-value cache ({seen} of {self.past} tokens), "
                "which was filled while it was off or not there. Give the whole prompt without a cache, or with one "
                "that was filled while it was active."
            )
        if self.paged is None and self.past < self.earlier_read:
            raise ValueError(
                f"The gate of {names} has read {self.earlier_read} tokens, of which this key-value cache was cut back "
                f"to {self.past}: it would decide by what is no longer there. Give the whole prompt without a cache; "
                "or say where the prompt ends (`prompt_lengths`), if it is of the answer that tokens were taken back."
            )

    def by_sequence(self, values: Tensor) -> Tensor:
        """What belongs to this call's tokens, (batch, length, ...), with a row for each sequence."""
        return values if self.packing is None else self.packing.unpacked(values)

    def by_token(self, values: Tensor) -> Tensor:
        """What belongs to each sequence, (n, ...), for each token: (batch, length, ...) or (batch, 1, ...)."""
        return values[:, None] if self.packing is None else values[self.packing.sequence]

    def steps(self) -> Tensor:
        """How far each token of this call is behind the last one of its prompt, (batch, length)."""
        last = self.decision.last
        assert last is not None
        if self.packing is None:
            return torch.arange(self.length, device=last.device) + self.past - last[:, None]
        past = torch.tensor(self.paged.past if self.paged else [self.past], device=last.device)
        place, sequence = self.packing.place.to(last.device), self.packing.sequence.to(last.device)
        return place + (past - last)[sequence]

    def mask_of(self, steered: Steered) -> tuple[bool, Tensor | None]:
        """
        Which of this call's tokens an adapter steers.

        Args:
            steered: Which ones it says that it steers.

        Returns:
            Whether there are any, and a mask of them, (batch, length), bool, a row for each sequence; None for all.

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
        # Outside of `generate`, the last token of each piece is steered.
        in_pieces = bool(self.earlier_sums) and self.decision.generation is not None
        in_pieces = in_pieces and self.paged is None and not torch.compiler.is_compiling()
        if in_pieces and not bool(self.prompt_mask.any(dim=1).all()):
            raise ValueError(
                "A prompt that is padded on the right came in pieces, so its last token passed before the gate could "
                "be decided: pad on the left, or give prompts whole."
            )
        later = self.prompt_mask.flip(1).cumsum(dim=1).flip(1) - self.prompt_mask.long()
        mask = later == 0
        mask = mask & self.prompt_mask if not steer_decode else mask
        return True, mask if self.token_mask is None else mask & self.token_mask

    def keep(self, arguments: Mapping[str, Any], outputs: Any) -> None:
        """Put the decision on the cache of a forward call, by its arguments and outputs, if there is one."""
        recorded = _recorded.get()
        if recorded is not None:
            recorded.append(self.decision)
        if self.paged is not None:
            self.paged.finish()
        if self.packing is not None:  # what was decided is not by rows
            return
        self.decision.seen, self.decision.read = self.past + self.length, self.read
        generation = self.decision.generation
        # Some models do not give the cache back that they were given.
        cache = cache_of(outputs) if cache_of(outputs) is not None else cache_of(arguments)
        if cache is not None:
            keep_on(cache, self.decision)
        elif generation is not None:
            generation.decision = self.decision


def is_stream(hidden: Any, shape: tuple[int | None, ...]) -> bool:
    """Whether what a layer gives is a vector for each token, of shape (batch, length, width)."""
    return isinstance(hidden, Tensor) and tuple(hidden.shape) == shape


def no_stream(hidden: Any, shape: tuple[int | None, ...], layer: int) -> str:
    """What is said of a layer whose output is none."""
    found = tuple(hidden.shape) if isinstance(hidden, Tensor) else type(hidden).__name__
    return (
        f"Layer {layer} of this model gives a residual stream of shape {found} for tokens of shape {shape[:2]}, "
        f"not a vector of {shape[2]} numbers for each: steering adapters do not support this model."
    )

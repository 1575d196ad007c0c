"""What was read and decided about a batch of sequences; it lives as long as their key-value cache."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .fields import Positions
from .readouts import ReadoutSums


# Key of a gate: the adapter's name, and the layer that read it where each steered layer has a gate of its own.
GateKey = tuple[str, int | None]

# Which tokens an adapter steers: those of the prompt, and whether generated ones as well.
Steered = tuple[Positions, bool]


@dataclass
class Decision:
    """
    What was read and decided for a batch of sequences. It lives as long as their key-value cache, on which it is kept.

    Attributes:
        sums: What the readouts need, by layer; kept so that a prompt may arrive in pieces and a chat be continued.
        gates: The gates, each (batch, k), float32.
        deltas: What is added to the residual stream, by steered layer and by which tokens are steered; (batch, d), or
            None for nothing. Follows from `gates`.
        adapters: The adapters that were active.
        generation: The `generate` call that this was decided in, if any.
        complete: Whether the whole prompt has been read.
        last: The position of each sequence's last prompt token, (batch,), counted from the first one on the cache;
            None before any prompt was read.
        seen: How many tokens it has been kept for so far, padding included.
        read: How many of these its gates have read, as far as is known without asking an accelerator.
    """

    sums: dict[int, ReadoutSums] = field(default_factory=dict)
    gates: dict[GateKey, Tensor] = field(default_factory=dict)
    deltas: dict[tuple[int, Steered], Tensor | None] = field(default_factory=dict)
    adapters: tuple[str, ...] = ()
    generation: Generation | None = None
    complete: bool = False
    last: Tensor | None = None
    seen: int = 0
    read: int = 0

    @property
    def rows(self) -> int | None:
        """For how many sequences it is; None before anything was read."""
        read = [sums.prompt for sums in self.sums.values()]
        return next((len(of_rows) for of_rows in (*read, *self.gates.values())), None)

    def expand(self, batch: int) -> None:
        """
        Repeat each row so that there are `batch` of them, where a batch was expanded for beams or samples.

        Raises:
            ValueError: If `batch` is no multiple of the rows.
        """
        rows = self.rows
        if rows in (None, batch):
            return
        times, left = divmod(batch, rows)
        if left or not times:
            raise ValueError(
                f"The gates on this key-value cache were decided for {rows} sequences, and this call has {batch}. "
                "Take rows out by the cache's own `batch_select_indices`, or give whole prompts without a cache."
            )
        self.select(torch.arange(rows).repeat_interleave(times))

    def select(self, indices: Tensor) -> None:
        """Let each row be that of one of these numbers, (new batch,)."""

        def of(values: Tensor) -> Tensor:
            return values[indices.to(values.device)]

        self.sums = {layer: sums.select(indices) for layer, sums in self.sums.items()}
        self.gates = {key: of(gate) for key, gate in self.gates.items()}
        self.last = None if self.last is None else of(self.last)
        self.deltas = {key: None if delta is None else of(delta) for key, delta in self.deltas.items()}


@dataclass(eq=False)
class Generation:
    """
    One `generate` call.

    Attributes:
        prompt_length: After how many positions the prompt ends, padding included.
        mask: False at its padding, (batch, prompt length), if known.
        decision: What was decided in it, for models that give no cache back.
    """

    prompt_length: int
    mask: Tensor | None = None
    decision: Decision | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Generation:
        # Compared by identity; a copied cache belongs to the same generation.
        return self


def decision_on(cache: Any, past: int) -> Decision:
    """What was decided for the sequences on a cache, or nothing yet."""
    decision = getattr(cache, "steering_decision", None)
    # A cache that was reset is used for other sequences.
    return decision if decision is not None and past > 0 else Decision()


def keep_on(cache: Any, decision: Decision) -> None:
    """Put a decision on a cache, whose rows it follows from then on: else one sequence had another one's gate."""
    cache.steering_decision = decision
    if isinstance(cache, _Following) or torch.compiler.is_compiling():
        return
    cls: Any = type(cache)
    if hasattr(cls, "reorder_cache"):
        # A class, and no methods of the one cache, which would hold it: a cache is let go when nobody uses it.
        cache.__class__ = _following(cls)


class _Following:
    """A cache whose decision goes where its rows go."""

    def reorder_cache(self, beam_idx: Tensor) -> None:
        super().reorder_cache(beam_idx)  # type: ignore[misc]
        if (decision := _read_on(self)) is not None:
            decision.expand(len(beam_idx))
            decision.select(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        super().batch_select_indices(indices)  # type: ignore[misc]
        if (decision := _read_on(self)) is not None:
            decision.select(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        super().batch_repeat_interleave(repeats)  # type: ignore[misc]
        if (decision := _read_on(self)) is not None and decision.rows is not None:
            decision.expand(decision.rows * repeats)

    def __reduce__(self) -> tuple[Any, ...]:
        # The class is made in each process, so that no other could find it by name.
        return _new_following, (type(self).__mro__[2],), vars(self)


@functools.cache
def _following(cls: type) -> type:
    return type(cls.__name__, (_Following, cls), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _new_following(cls: type) -> Any:
    made: Any = _following(cls)
    return made.__new__(made)


def _read_on(cache: Any) -> Decision | None:
    """The decision on a cache, if anything has been read for it."""
    decision: Decision | None = getattr(cache, "steering_decision", None)
    return None if decision is None or decision.rows is None else decision

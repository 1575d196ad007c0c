"""What was read and decided about a batch of sequences; it lives as long as their key-value cache."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

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
    """

    sums: dict[int, ReadoutSums] = field(default_factory=dict)
    gates: dict[GateKey, Tensor] = field(default_factory=dict)
    deltas: dict[tuple[int, Steered], Tensor | None] = field(default_factory=dict)
    adapters: tuple[str, ...] = ()
    generation: Generation | None = None
    complete: bool = False
    last: Tensor | None = None
    seen: int = 0

    def expand(self, batch: int) -> None:
        """Repeat each row so that there are `batch` of them, where a batch was expanded for beams or samples."""
        rows = next((len(gate) for gate in self.gates.values()), batch)
        if rows == batch:
            return
        times = batch // rows
        self.sums = {layer: sums.expand(times) for layer, sums in self.sums.items()}
        self.gates = {key: gate.repeat_interleave(times, dim=0) for key, gate in self.gates.items()}
        self.last = None if self.last is None else self.last.repeat_interleave(times, dim=0)
        self.deltas = {}


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

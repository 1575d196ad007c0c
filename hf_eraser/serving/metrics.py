"""What an operator sees of decisions: counters and histograms among vLLM's own, and no word of any request."""

from __future__ import annotations

from collections import deque

import torch
from prometheus_client import Counter, Histogram
from torch import Tensor


_BUCKETS = (-8.0, -4.0, -2.0, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)

_decisions = Counter(
    "hf_eraser:decisions", "Prompts that a steering adapter's gate opened for, or stayed shut.", ["adapter", "gate"]
)

_scores = Histogram(
    "hf_eraser:scores",
    "Scores of prompts between their gate's bounds: 0 is the lower one, up to which it is shut; 1 the upper one.",
    ["adapter"],
    buckets=_BUCKETS,
)


class Metrics:
    """Decisions, counted once they are known without waiting for the device."""

    def __init__(self) -> None:
        self._pending: deque[tuple[str, Tensor, torch.cuda.Event | None]] = deque()

    def observe(self, adapter: str, request: str, gates: Tensor, scores: Tensor, bounds: Tensor) -> None:
        """Take note of a decision; see `Steering`."""
        low, high = bounds.unbind(dim=-1)
        place = torch.where(torch.isfinite(low), (scores - low) / (high - low), -torch.inf)
        numbers = torch.stack([gates.amax(), place.amax()]).to("cpu", non_blocking=True)
        event = None
        if gates.is_cuda:
            event = torch.cuda.Event()
            event.record()
        self._pending.append((adapter, numbers, event))
        self.count()

    def count(self) -> None:
        """Count what has arrived."""
        while self._pending:
            adapter, numbers, event = self._pending[0]
            if event is not None and not event.query():
                return
            self._pending.popleft()
            gate, place = numbers.tolist()
            _decisions.labels(adapter, "opened" if gate > 0 else "shut").inc()
            if place > -torch.inf:
                _scores.labels(adapter).observe(place)

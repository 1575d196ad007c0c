"""What acts in a worker: gates are read and decided, and streams are shifted, in the pass that needs it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..tuner.gate import gate_values, scores_of
from ..tuner.readouts import ReadoutSums
from .adapters import ServedAdapter
from .block_sums import BlockSums, Run
from .requests import GateKey, Request, Requests, reads_sums


# The worker whose model runs at this moment.
_current: ContextVar[Steering | None] = ContextVar("hf_eraser_serving", default=None)


def current() -> Steering:
    """
    The worker whose model runs at this moment.

    Raises:
        RuntimeError: If there is none: the model was called by something that the plug-in does not know.
    """
    steering = _current.get()
    if steering is None:
        raise RuntimeError(
            "A steered layer ran outside of a step that the plug-in knows, so nothing would be steered. This vLLM "
            "runs its model in a way that is not supported."
        )
    return steering


@dataclass
class Deciding:
    """
    A request whose last prompt token is in this pass.

    Attributes:
        name: Its name.
        request: The request.
        row: Where in the batch that token is.
        runs: What was read of its prompt; empty where nobody asks.
    """

    name: str
    request: Request
    row: int
    runs: list[Run]


@dataclass
class Batch:
    """
    The tokens of one pass.

    Attributes:
        tokens: Where in the batch prompt tokens are, (n,).
        slots: The slots of their runs, (r,), in order.
        lengths: The tokens of each run, (r,).
        deciding: The requests that are decided in this pass, by adapter.
        steered: By adapter, the requests with tokens to steer and where in the batch these are.
    """

    tokens: Tensor
    slots: Tensor
    lengths: Tensor
    deciding: dict[str, list[Deciding]] = field(default_factory=dict)
    steered: dict[str, list[tuple[Request, list[int]]]] = field(default_factory=dict)


# What is told of each decision: the adapter's name, the request's, its gates and its scores, (k,), and bounds, (k, 2).
Observer = Callable[[str, str, Tensor, Tensor, Tensor], None]


class Steering:
    """
    The adapters of one worker, and what is known of its requests.

    Args:
        adapters: By name.
        chosen: Gives the adapters of a request by its `extra_args`.
        width: Width of the residual stream.
        device: Where the model is.
        observe: Is told of each decision.
    """

    def __init__(
        self,
        adapters: Mapping[str, ServedAdapter],
        chosen: Callable[[Mapping[str, Any] | None], tuple[str, ...]],
        *,
        width: int,
        device: torch.device,
        observe: Observer,
    ) -> None:
        self._adapters, self._chosen, self._device, self._width = dict(adapters), chosen, device, width
        self.observe = observe
        self.begin(1)
        self._batch: Batch | None = None
        self._ran: list[int] = []
        self._probing: bool | None = None  # in a dummy pass, whether the first token is steered
        self._tensors = {
            (name, layer, kind): tensor.to(device)
            for name, adapter in adapters.items()
            for layer, of_layer in adapter.tensors.items()
            for kind, tensor in of_layer.items()
        }

    def begin(self, block_size: int) -> None:
        """Begin without any request, on a key-value cache with so many tokens in a block."""
        self._requests = Requests(self._chosen, block_size)
        summed = {n for adapter in self._adapters.values() if _needs_sums(adapter) for n in adapter.config.gate_layers}
        self._sums = BlockSums(sorted(summed), block_size, self._width, self._device)

    @property
    def names(self) -> list[str]:
        """The names of the adapters."""
        return list(self._adapters)

    @property
    def is_dummy(self) -> bool:
        """Whether a pass without requests runs at this moment."""
        return self._probing is not None

    @property
    def ran(self) -> list[int]:
        """The layers that acted in this pass, in order."""
        return self._ran

    @property
    def layers(self) -> list[int]:
        """The layers on which anything is read or shifted."""
        found = {layer for adapter in self._adapters.values() for layer in adapter.tensors}
        return sorted(found)

    @contextmanager
    def step(self, output: Any) -> Iterator[None]:
        """
        Around one step of the worker.

        Args:
            output: vLLM's `SchedulerOutput`.

        Raises:
            RuntimeError: If a layer that acts did not run just once: the model would not have been steered. No token
                has been put out then.
        """
        self._requests.update(output)
        self._batch, self._probing, self._ran = None, None, []
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            ran, self._batch = self._ran, None
        if output.total_num_scheduled_tokens and ran != self.layers:
            raise RuntimeError(
                f"In this pass layers {ran} acted, layers {self.layers} have to: it would have gone unsteered. Full "
                "CUDA graphs and other ways to run a part of the model by itself are not supported."
            )

    @contextmanager
    def dummy(self, steered: bool = False) -> Iterator[None]:
        """Around a pass without requests; its first token is steered as if all gates were open, or nothing is."""
        before = self._probing, self._batch
        self._probing, self._ran = steered, []
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._probing, self._batch = before

    def arrange(self, names: Sequence[str]) -> None:
        """Find what is to do in the coming pass, whose batch holds these requests in this order."""
        tokens: list[np.ndarray] = []
        slots: list[int] = []
        lengths: list[int] = []
        batch = Batch(*(torch.empty(0, dtype=torch.long),) * 3)
        first = 0
        for name, request, start, end in self._requests.of_batch(names):
            last = request.prompt - 1
            if start <= last and self._sums.layers:
                here = min(end, request.prompt) - start
                tokens.append(np.arange(first, first + here))
                for block, offset, picture, count in _runs(request, start, start + here, self._sums.block_size):
                    slots.append(self._sums.begin(block, offset, picture, count))
                    lengths.append(count)
            if request.adapters and end > last:
                self._arrange_steered(batch, name, request, first - start, start, end)
            first += end - start
        place = torch.from_numpy(np.concatenate(tokens)) if tokens else batch.tokens
        batch.tokens = place.to(self._device)
        batch.slots = torch.tensor(slots, dtype=torch.long, device=self._device)
        batch.lengths = torch.tensor(lengths, dtype=torch.long, device=self._device)
        for one in itertools.chain.from_iterable(batch.deciding.values()):
            # After all runs of this pass have begun: requests may go on behind blocks that are computed in it.
            if not one.runs and any(_needs_sums(self._adapters[name]) for name in one.request.adapters):
                one.runs = self._sums.runs_of(one.request.blocks, one.request.prompt)
        self._batch = batch

    def _arrange_steered(self, batch: Batch, name: str, request: Request, shift: int, start: int, end: int) -> None:
        """What there is to do for a request whose tokens `start` to `end` are at `shift` behind their positions."""
        last = request.prompt - 1
        if start <= last:
            one = Deciding(name, request, last + shift, [])
            for adapter in request.adapters:
                if not any(key[0] == adapter for key in request.gates):
                    batch.deciding.setdefault(adapter, []).append(one)
        for adapter in request.adapters:
            until = end if self._adapters[adapter].config.steer_decode else min(end, last + 1)
            rows = [position + shift for position in range(max(start, last), until)]
            if rows:
                batch.steered.setdefault(adapter, []).append((request, rows))

    def act(self, layer: int, hidden: Tensor, residual: Tensor | None) -> None:
        """
        Read and shift, in place, the output of a layer.

        Args:
            layer: Its number in the decoder.
            hidden: What it gives, (tokens, d); tokens behind the batch's are padding.
            residual: What is to be added to it, if the model keeps that apart.
        """
        if hidden.ndim != 2 or hidden.shape[1] != self._width or (residual is not None and residual.ndim != 2):
            raise RuntimeError(
                f"Layer {layer} gives a residual stream of shape {tuple(hidden.shape)}, not (tokens, {self._width}): "
                "steering adapters do not support this model on vLLM."
            )
        self._ran.append(layer)
        if self._probing is not None:
            if self._probing:
                hidden[0] += self._all_open(layer).to(hidden.dtype)
            return
        if self._batch is None:
            raise RuntimeError("A pass began whose requests are not known, so nothing would be steered.")
        self._read(layer, hidden, residual)
        self._shift(layer, hidden)

    def _all_open(self, layer: int) -> Tensor:
        """What all adapters add to a layer where all their gates are open, (d,)."""
        total = torch.zeros(self._width, device=self._device)
        for name, adapter in self._adapters.items():
            if layer in adapter.steered_layers:
                total += adapter.config.strength * self._tensors[name, layer, "steering_direction"].sum(dim=0)
        return total

    def _read(self, layer: int, hidden: Tensor, residual: Tensor | None) -> None:
        batch = self._batch
        assert batch is not None
        if layer in self._sums.layers and len(batch.tokens):
            stream = _stream(hidden, residual, batch.tokens)
            sums = torch.segment_reduce(stream, "sum", lengths=batch.lengths, axis=0)
            self._sums.write(layer, batch.slots, sums)
        for name, deciding in batch.deciding.items():
            adapter = self._adapters[name]
            here = [one for one in deciding if layer in adapter.gate_layers_of(one.request.has_image)]
            if here:
                self._decide(layer, name, here, hidden, residual)

    def _decide(
        self, layer: int, name: str, deciding: list[Deciding], hidden: Tensor, residual: Tensor | None
    ) -> None:
        adapter = self._adapters[name]
        config = adapter.config
        sums = self._sums_of(layer, deciding, hidden, residual, _needs_sums(adapter))
        weight = self._tensors[name, layer, "steering_gate_weight"]
        bounds = self._tensors[name, layer, "steering_gate_bounds"]
        scores = scores_of(sums, config.readout, config.text_readout, weight)
        gates = gate_values(scores, sums.has_image, bounds, config.gate)
        if config.gate == "always":  # of which nothing was read
            scores = torch.full_like(scores, torch.nan)
        key: GateKey = (name, None if config.gate_layer is not None else layer)
        for one, gate, score in zip(deciding, gates, scores):
            one.request.gates[key] = gate
            self.observe(name, one.name, gate, score, bounds[0 if one.request.has_image else 1])

    def _sums_of(
        self, layer: int, deciding: list[Deciding], hidden: Tensor, residual: Tensor | None, whole: bool
    ) -> ReadoutSums:
        """What the readouts need of prompts, one row each; of the last token only, unless of the `whole` prompt."""
        rows = torch.tensor([one.row for one in deciding], device=self._device)
        last = _stream(hidden, residual, rows)
        count = max(1, *(int(one.request.picture.max(initial=0)) for one in deciding))
        of_pictures = torch.zeros(len(deciding), count, self._width, device=self._device)
        numbers = [[int((one.request.picture == number + 1).sum()) for number in range(count)] for one in deciding]
        prompt = torch.zeros_like(last)
        if whole:
            prompt = self._total(layer, [one.runs for one in deciding])
            if any(any(row) for row in numbers):
                each = [[run for run in one.runs if run.picture == n + 1] for one in deciding for n in range(count)]
                of_pictures = self._total(layer, each).view(len(deciding), count, -1)
        n_prompt = torch.tensor([[float(one.request.prompt)] for one in deciding], device=self._device)
        n_image = torch.tensor(numbers, dtype=torch.float32, device=self._device)
        return ReadoutSums(prompt, of_pictures, n_prompt, n_image, last)

    def _total(self, layer: int, runs: list[list[Run]]) -> Tensor:
        slots = torch.tensor([run.slot for group in runs for run in group], dtype=torch.long, device=self._device)
        return self._sums.total(layer, slots, torch.tensor([len(group) for group in runs], device=self._device))

    def _shift(self, layer: int, hidden: Tensor) -> None:
        assert self._batch is not None
        for name, steered in self._batch.steered.items():
            adapter = self._adapters[name]
            if layer not in adapter.steered_layers:
                continue
            key: GateKey = (name, None if adapter.config.gate_layer is not None else layer)
            gates = torch.stack([request.gates[key] for request, _ in steered]) * adapter.config.strength
            delta = (gates[..., None] * self._tensors[name, layer, "steering_direction"]).sum(dim=1)
            rows = torch.tensor([row for _, of_request in steered for row in of_request], device=self._device)
            times = torch.tensor([len(of_request) for _, of_request in steered], device=self._device)
            # Where the gate is 0 this adds 0, so the residual stream keeps its value to the last bit.
            hidden[rows] += delta.repeat_interleave(times, dim=0).to(hidden.dtype)


def _needs_sums(adapter: ServedAdapter) -> bool:
    config = adapter.config
    return config.gate != "always" and reads_sums([config.readout, config.text_readout or config.readout])


def _stream(hidden: Tensor, residual: Tensor | None, rows: Tensor) -> Tensor:
    """The residual stream at some tokens, (n, d), float32, rounded as the model itself rounds it."""
    stream = hidden[rows] if residual is None else hidden[rows] + residual[rows]
    return stream.float()


def _runs(request: Request, start: int, end: int, block_size: int) -> Iterator[tuple[int, int, int, int]]:
    """Block, offset in it, picture and length of each run of the tokens from `start` to `end`."""
    position = np.arange(start, end)
    picture, block = request.picture[start:end], position // block_size
    changes = np.flatnonzero((np.diff(block) != 0) | (np.diff(picture) != 0)) + 1
    for begin, stop in itertools.pairwise([0, *changes.tolist(), end - start]):
        yield request.blocks[block[begin]], int(position[begin]) % block_size, int(picture[begin]), stop - begin

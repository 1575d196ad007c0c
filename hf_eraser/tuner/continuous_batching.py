"""
Continuous batching (`model.generate_batch`, `transformers serve`): a decision for each request, as long as it lives.

The only module that touches what is private in transformers' continuous batching, 5.20 to 5.23: a call says how many
tokens each sequence has, but not whose they are, and blocks of a prompt that another request has read are not read
again. So the requests are looked up in the manager that made the call; sums over a prompt's beginning are kept by its
tokens, for requests that share it; and what comes from a steered position on is never offered to other requests.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import threading
import weakref
from array import array
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import logging

from .decision import Decision, GateKey
from .packing import Packing
from .readouts import ReadoutSums
from .switching import Acting


logger = logging.get_logger(__name__)

_CHILD = "__child#"  # in the name of a request that another one was forked into

# Of each manager. Not on the model, which can be copied and pickled.
_SESSIONS: weakref.WeakKeyDictionary[Any, Session] = weakref.WeakKeyDictionary()


def is_paged(arguments: Mapping[str, Any]) -> bool:
    """Whether a call of a model's `forward` comes from continuous batching, by its keyword arguments."""
    return arguments.get("cache") is not None and "cu_seq_lens_q" in arguments


@dataclass
class _Request:
    """
    What is known of one request.

    Attributes:
        adapters: Those that were active when it began.
        sums: What the readouts need of its prompt so far, by layer, each of one row.
        gates: What was decided, each (1, k); empty as long as nothing is.
    """

    adapters: tuple[str, ...]
    sums: dict[int, ReadoutSums] = field(default_factory=dict)
    gates: dict[GateKey, Tensor] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        return any(bool((gate > 0).any()) for gate in self.gates.values())


@dataclass
class PagedBatch:
    """
    The requests of one call.

    Attributes:
        packing: Where their tokens are.
        decision: What is known of them, a row each.
        prompt_mask: True at tokens of a prompt, (n, longest), bool; None where all are generated.
        ready: True where the prompt ends in this call, (n,), bool.
        rows: True at the requests that began with an adapter, (n,), by adapter.
        past: The tokens of each request before this call.
    """

    packing: Packing
    decision: Decision
    prompt_mask: Tensor | None
    ready: Tensor
    rows: dict[str, Tensor]
    past: list[int]
    _requests: list[_Request]
    _session: Session
    _prompts: list[list[int]]

    def read(self, layer: int, hidden: Tensor, image_mask: Tensor) -> None:
        """Keep the sums at the ends of blocks of the prompts, for requests that begin in the same way."""
        assert self.prompt_mask is not None
        lengths = self.packing.mask.sum(dim=1).tolist()
        for row, (request, past, prompt, here) in enumerate(zip(self._requests, self.past, self._prompts, lengths)):
            # The last token of a prompt may be steered; what is before it is as the base model has it.
            ends = range(self._session.page - past % self._session.page, here + 1, self._session.page)
            begin, sums = 0, request.sums.get(layer)
            for end in (end for end in ends if past + end < len(prompt)):
                piece = ReadoutSums.of(
                    hidden[row : row + 1, begin:end],
                    self.prompt_mask[row : row + 1, begin:end],
                    image_mask[row : row + 1, begin:end],
                )
                sums, begin = piece if sums is None else sums + piece, end
                self._session.keep_prefix(prompt[: past + end], layer, sums)

    def finish(self) -> None:
        """Give each request what became of it."""
        if self.prompt_mask is None:
            return
        decision, ready = self.decision, self.ready.tolist()
        for row, request in enumerate(self._requests):
            request.sums = {layer: sums.row(row) for layer, sums in decision.sums.items()}
            if ready[row]:
                request.gates = {
                    key: gate[row : row + 1] for key, gate in decision.gates.items() if key[0] in request.adapters
                }


class Session:
    """
    The requests of one continuous-batching manager, and what is known of them.

    Args:
        manager: The manager.
        layers: Gives the layers that the gates of the active adapters read.

    Attributes:
        acting: What acts in place of the active adapters.
    """

    def __init__(self, manager: Any, layers: Callable[[], set[int]], acting: Acting | None) -> None:
        self._manager, self._layers, self.acting = weakref.ref(manager), layers, acting
        self._followed: Any = None  # the cache whose methods were replaced
        self._requests: dict[str, _Request] = {}
        self._prefixes: OrderedDict[bytes, dict[int, ReadoutSums]] = OrderedDict()
        self._last: tuple[list[str], tuple[str, ...], Decision] | None = None
        self.page = 0

    @property
    def _processor(self) -> Any:
        return getattr(self._manager(), "batch_processor", None)

    def has(self, cache: Any) -> bool:
        """Whether it is this session whose requests a cache holds."""
        return self._processor is not None and self._processor.cache is cache

    def batch(self, arguments: Mapping[str, Any], adapters: tuple[str, ...], tokens: Tensor) -> PagedBatch:
        """
        The requests of a call.

        Args:
            arguments: The keyword arguments of `forward`.
            adapters: The active adapters.
            tokens: Its tokens, (1, length, ...).
        """
        self._follow(arguments["cache"])
        scheduled = self._processor.inputs_and_outputs.requests_in_batch
        self._forget_finished()
        states = [future.state for future in scheduled]
        prompts = [prompt_of(state) for state in states]
        past = [future.state.position_offset - future.query_length for future in scheduled]
        requests = [self._request(state, adapters, n, prompt) for state, n, prompt in zip(states, past, prompts)]
        bounds = itertools.accumulate((future.query_length for future in scheduled), initial=0)
        packing = Packing.of(list(itertools.pairwise(bounds)), len(tokens), tokens.shape[1], tokens.device)
        # Of each request, its tokens of this call that are in its prompt.
        left = [len(prompt) - n for prompt, n in zip(prompts, past)]
        device = tokens.device
        of_prompt = torch.arange(packing.mask.shape[1], device=device) < torch.tensor(left, device=device)[:, None]
        in_prompt = any(n > 0 for n in left)
        # One that was forked from a request whose prompt has been read has its decision already.
        ready = [
            0 < n <= future.query_length and not request.gates for n, future, request in zip(left, scheduled, requests)
        ]
        names = [state.request_id for state in states]
        rows = {
            name: torch.tensor([name in request.adapters for request in requests], device=device) for name in adapters
        }
        return PagedBatch(
            packing=packing,
            decision=self._decision(names, requests, adapters, in_prompt, [len(prompt) - 1 for prompt in prompts]),
            prompt_mask=of_prompt & packing.mask if in_prompt else None,
            ready=torch.tensor(ready, device=device),
            rows=rows,
            past=past,
            _requests=requests,
            _session=self,
            _prompts=prompts,
        )

    def left_alone(self, cache: Any) -> None:
        """Note which requests no adapter has read, since none acts: they end without, too."""
        self._follow(cache)
        for future in self._processor.inputs_and_outputs.requests_in_batch:
            if future.state.position_offset - future.query_length < len(prompt_of(future.state)):
                self._requests[future.state.request_id] = _Request(())

    def keep_prefix(self, tokens: Sequence[int], layer: int, sums: ReadoutSums) -> None:
        key = _key(tokens)
        self._prefixes.setdefault(key, {})[layer] = sums
        self._prefixes.move_to_end(key)
        while len(self._prefixes) > 2 * self._followed.num_blocks:  # more than the cache can hold
            self._prefixes.popitem(last=False)

    def _request(self, state: Any, adapters: tuple[str, ...], past: int, prompt: list[int]) -> _Request:
        name = state.request_id
        known = self._requests.get(name)
        if known is not None and past == 0 and known.sums:
            known = None  # it was taken out of a full cache, and is read again from its beginning
        if known is None:
            sums: dict[int, ReadoutSums] = {}
            if past:
                found = self._prefixes.get(_key(prompt[:past]), {})
                if not self._layers() <= found.keys():
                    raise RuntimeError(
                        f"Request {name!r} goes on behind {past} tokens that no steering adapter has read, so its "
                        "gate cannot be decided. Start continuous batching after the adapter is loaded."
                    )
                sums = dict(found)
            known = self._requests[name] = _Request(adapters, sums)
        return known

    def _decision(
        self, names: list[str], requests: list[_Request], adapters: tuple[str, ...], in_prompt: bool, last: list[int]
    ) -> Decision:
        """What is known of several requests, a row each; while they only go on generating, the same object."""
        if not in_prompt and self._last is not None and self._last[:2] == (names, adapters):
            return self._last[2]
        gates = {}
        for key in dict.fromkeys(key for request in requests for key in request.gates if key[0] in adapters):
            known = next(request.gates[key] for request in requests if key in request.gates)
            rows = [request.gates.get(key, torch.zeros_like(known)) for request in requests]
            gates[key] = torch.cat(rows)
        layers = {layer for request in requests for layer in request.sums} if in_prompt else ()
        sums = {layer: ReadoutSums.rows([request.sums.get(layer) for request in requests]) for layer in layers}
        decision = Decision(sums, gates, adapters=adapters, complete=True, last=torch.tensor(last))
        self._last = None if in_prompt else (names, adapters, decision)
        return decision

    def _forget_finished(self) -> None:
        scheduler = self._processor.scheduler
        living = scheduler.active_requests.keys() | scheduler.waiting_requests.keys()
        for name in living - self._requests.keys():
            parent = self._requests.get(name.rpartition(_CHILD)[0])
            if parent is not None and scheduler.active_requests.get(name) is not None:
                self._requests[name] = _Request(parent.adapters, dict(parent.sums), dict(parent.gates))
        self._requests = {name: request for name, request in self._requests.items() if name in living}

    def _follow(self, cache: Any) -> None:
        """Limit which blocks requests share."""
        if self._followed is cache:
            return
        self._followed = cache
        self.page = math.gcd(*(allocator.tokens_per_page for allocator in cache.cache_allocators.values()))
        self._limit_matches(cache)
        self._limit_offers(cache)

    def _limit_matches(self, cache: Any) -> None:
        """A request goes on behind no more of another's prompt than sums are known of, nor behind its own."""
        search: Callable[[str, list[int]], int] = cache.search_prefix_match
        scheduler = self._processor.scheduler

        def limited(request_id: str, prompt_ids: list[int]) -> int:
            state = scheduler.waiting_requests.get(request_id) or scheduler.active_requests.get(request_id)
            longest = len(prompt_ids) if state is None else len(prompt_of(state))
            known, end, layers = 0, self.page, self._layers()
            while end < longest and layers <= self._prefixes.get(_key(prompt_ids[:end]), {}).keys():
                known, end = end, end + self.page
            if not layers:
                known = len(prompt_ids)
            return search(request_id, prompt_ids[: known + 1]) if known else 0

        cache.search_prefix_match = limited

    def _limit_offers(self, cache: Any) -> None:
        """What a request whose gate is open has written depends on its adapters: no other may go on behind it."""
        mark: Callable[[Any, dict[str, int]], None] = cache.mark_complete_blocks

        def limited(state: Any, complete_blocks: dict[str, int]) -> None:
            request = self._requests.get(state.request_id)
            if request is None or not request.is_open:
                mark(state, complete_blocks)

        cache.mark_complete_blocks = limited


def prompt_of(state: Any) -> list[int]:
    """The prompt of a request; one that was taken out of a full cache has its generated tokens behind it."""
    return state.initial_tokens[: state._true_initial_tokens or None]


def _key(tokens: Sequence[int]) -> bytes:
    return hashlib.sha256(array("q", tokens).tobytes()).digest()


def follow(manager: Any, layers: Callable[[], set[int]], acting: Acting | None) -> Any:
    """
    Know a manager's requests, so that the adapters on its model can steer them.

    Args:
        manager: The manager, not yet started.
        layers: Gives the layers that the gates of the active adapters read.
        acting: What acts in place of the active adapters in the context that begins it.

    Returns:
        The manager. Neither is anything compiled nor captured in a CUDA graph: a replayed graph asks no adapter.
    """
    config, off = manager.continuous_batching_config, []
    if any(config.use_cuda_graph if isinstance(config.use_cuda_graph, tuple) else [config.use_cuda_graph]):
        config.use_cuda_graph = (False, False)
        off.append("CUDA graphs")
    if config.varlen_compile_config is not None or config.decode_compile_config is not None:
        config.varlen_compile_config = config.decode_compile_config = None
        off.append("compilation")
    if config.use_async_batching:
        config.use_async_batching = False
        off.append("asynchronous batching")
    if off:
        logger.warning_once(f"Continuous batching runs without {' and '.join(off)} while a steering adapter is on.")
    session = _SESSIONS.setdefault(manager, Session(manager, layers, acting))
    session.acting = acting  # of one that is kept, as it is begun now
    return manager


def session_of(cache: Any) -> Session:
    """
    The session whose requests a cache holds.

    Raises:
        RuntimeError: If there is none: continuous batching began before an adapter was attached.
    """
    for session in list(_SESSIONS.values()):
        if session.has(cache):
            return session
    raise RuntimeError(
        "Continuous batching began before a steering adapter was attached to this model, so it cannot be steered: "
        "stop the manager, and start it (or call `generate_batch`) after the adapter is loaded."
    )


def check_not_running(model: nn.Module) -> None:
    """
    Raises:
        ValueError: If continuous batching runs on the model, or is kept for the next time: what it has captured would
            go on without the adapter.
    """
    running = [getattr(getattr(thread, "_target", None), "__self__", None) for thread in threading.enumerate()]
    managers = [m for m in running if hasattr(m, "batch_processor") and getattr(m, "model", None) is model]
    if managers or "_cached_continuous_batching_manager" in vars(model):
        raise ValueError(
            "A steering adapter cannot be attached while continuous batching runs on the model: stop its manager "
            "(and call `model.destroy_cached_continuous_batching_manager()` if it was kept) first."
        )

"""
Which blocks of the key-value cache requests share. Private to vLLM, written against 0.32.0.

Only blocks that lie wholly before a request's last prompt token are ever shared. Up to there every key and value is
the base model's, whatever steers the request; from there on a request whose gate is open has its own.
"""

from __future__ import annotations

from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.scheduler import Scheduler

from .caches import check_cache


class SteeringScheduler(Scheduler):
    """vLLM's scheduler, whose requests share blocks of prompts only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        share_prompts_only(self)


class AsyncSteeringScheduler(AsyncScheduler):
    """The same for steps that are scheduled while the one before still runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        share_prompts_only(self)


class _PromptOf:
    """A request as the look-up of its blocks sees it: with no more tokens than its prompt has."""

    def __init__(self, request: Any) -> None:
        self._request = request

    @property
    def num_tokens(self) -> int:
        return self._request.num_prompt_tokens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)


def share_prompts_only(scheduler: Any) -> None:
    """
    Let a scheduler offer, and look up, only blocks before the last prompt token.

    Raises:
        ValueError: If its cache is of a kind that is not supported.
    """
    manager = scheduler.kv_cache_manager
    coordinator = manager.coordinator
    check_cache(manager.kv_cache_config)
    if coordinator.enable_partial_hash_hits:
        raise ValueError("Steering adapters do not support hits of a part of a block of the key-value cache.")
    cache_blocks, get_computed_blocks = coordinator.cache_blocks, manager.get_computed_blocks

    def before_last_prompt_token(request: Any, num_computed_tokens: int) -> None:
        cache_blocks(request, min(num_computed_tokens, request.num_prompt_tokens - 1))

    def of_prompt(request: Any) -> Any:
        # One that was taken out of a full cache has generated tokens, which may be another one's prompt.
        resumed = request.num_tokens > request.num_prompt_tokens
        return get_computed_blocks(_PromptOf(request) if resumed else request)

    coordinator.cache_blocks = before_last_prompt_token
    manager.get_computed_blocks = of_prompt

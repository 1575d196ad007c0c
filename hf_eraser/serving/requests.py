"""The requests that a worker knows, by what its scheduler sends with each step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..tuner.fields import Readout


# Key of a gate: the adapter's name, and the layer that read it where each steered layer has a gate of its own.
GateKey = tuple[str, int | None]


@dataclass
class Request:
    """
    Attributes:
        prompt: How many tokens its prompt has.
        adapters: What steers it.
        picture: Which picture each prompt token is of, from 1 on, 0 for none, (prompt,).
        blocks: Its blocks of the key-value cache.
        computed: How many tokens were computed before the coming pass.
        gates: What was decided, each (k,), float32. They last as long as the request, also when its keys and values
            are thrown away and computed again.
    """

    prompt: int
    adapters: tuple[str, ...]
    picture: npt.NDArray[np.int64]
    blocks: list[int]
    computed: int
    gates: dict[GateKey, Tensor] = field(default_factory=dict)

    @property
    def has_image(self) -> bool:
        return bool(self.picture.any())


class Requests:
    """
    The requests of one worker.

    Args:
        chosen: Gives the adapters of a request by its `extra_args`.
        block_size: Tokens in a block of the key-value cache.
    """

    def __init__(self, chosen: Callable[[Mapping[str, Any] | None], tuple[str, ...]], block_size: int) -> None:
        self._chosen, self._block_size = chosen, block_size
        self._known: dict[str, Request] = {}
        self._scheduled: dict[str, int] = {}

    def update(self, step: Any) -> None:
        """
        Take over what a step changes.

        Args:
            step: vLLM's `SchedulerOutput`.

        Raises:
            RuntimeError: If a prompt's last token would not be computed, so that nothing could steer it; or if blocks
                are filled in a way that is not supported.
        """
        for name in step.finished_req_ids:
            self._known.pop(name, None)
        if getattr(step, "kv_cache_block_copies", None):
            raise RuntimeError("Blocks of the key-value cache are copied, which steering adapters do not support.")
        for new in step.scheduled_new_reqs:
            earlier = self._known.get(
                new.req_id
            )  # one that was taken out of a full cache comes as new to some runners
            self._known[new.req_id] = request = self._new(new)
            if earlier is not None and earlier.prompt == request.prompt:
                request.gates = earlier.gates
            self._check(new.req_id)
        cached = step.scheduled_cached_reqs
        for name, blocks, computed in zip(cached.req_ids, cached.new_block_ids, cached.num_computed_tokens):
            request = self._known[name]
            resumed = name in cached.resumed_req_ids
            if blocks is not None:
                request.blocks = [*([] if resumed else request.blocks), *blocks[0]]
            request.computed = computed
            if resumed:
                self._check(name)
        self._scheduled = dict(step.num_scheduled_tokens)

    def _new(self, new: Any) -> Request:
        if new.prompt_token_ids is None:
            raise RuntimeError("A prompt of embeddings cannot be steered.")
        parameters = new.sampling_params
        return Request(
            prompt=len(new.prompt_token_ids),
            adapters=self._chosen(parameters and parameters.extra_args),
            picture=pictures_of(len(new.prompt_token_ids), new.mm_features),
            blocks=list(new.block_ids[0]),
            computed=new.num_computed_tokens,
        )

    def _check(self, name: str) -> None:
        request = self._known[name]
        if request.computed >= request.prompt or request.computed % self._block_size:
            raise RuntimeError(
                f"A request begins behind {request.computed} of {request.prompt} prompt tokens, so that its gate "
                "could not be decided: its key-value cache was not looked up by the rules of the plug-in."
            )

    def of_batch(self, names: Sequence[str]) -> list[tuple[str, Request, int, int]]:
        """The requests of a batch in its order: name, request, and the positions that begin and end its tokens."""
        if sorted(names) != sorted(self._scheduled):
            raise RuntimeError(
                f"The batch has {len(names)} requests, other ones than the step's {len(self._scheduled)}."
            )
        requests = [(name, self._known[name]) for name in names]
        return [(name, r, r.computed, r.computed + self._scheduled[name]) for name, r in requests]


def pictures_of(length: int, features: Sequence[Any]) -> npt.NDArray[np.int64]:
    """
    Which picture each token of a prompt is of, from 1 on, 0 for none, (length,).

    Args:
        length: Of the prompt.
        features: vLLM's `MultiModalFeatureSpec`s. As in transformers, all pictures are one where there is a video.
    """
    seen = [feature for feature in features if feature.modality in ("image", "video")]
    apart = all(feature.modality == "image" for feature in seen)
    number = np.zeros(length, dtype=np.int64)
    for index, feature in enumerate(sorted(seen, key=lambda feature: feature.mm_position.offset)):
        place = feature.mm_position
        part = number[place.offset : place.offset + place.length]
        mask = np.ones(len(part), bool) if place.is_embed is None else place.is_embed.numpy()
        part[mask] = index + 1 if apart else 1
    return number


def reads_sums(readouts: Sequence[Readout]) -> bool:
    """Whether a readout needs more than the last prompt token."""
    return any(readout != "last" for readout in readouts)

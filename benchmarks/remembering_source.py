"""The library's source of readouts, for scripts that fit gates many times: each example is read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser.data import Example, read_examples
from hf_eraser.fitting import Augmentation
from hf_eraser.fitting.reading.capture import Captured
from hf_eraser.fitting.reading.rewording import Attack
from hf_eraser.fitting.reading.split import split_examples
from hf_eraser.fitting.reading.views import Source, View, number_concepts
from hf_eraser.tuner.readouts import ReadoutSums


@dataclass(frozen=True)
class RememberingSource(Source):
    """
    A source that runs the model over each view of an example once, also for the sources that share its memory.

    Attributes:
        memory: What was read, by what it was read for, the example and the view: (layers, 3 d + 2).
    """

    memory: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def read(
        self, examples: Sequence[Example], layers: Sequence[int], *, views: Sequence[View], description: str
    ) -> Iterator[Captured]:
        """Capture views of examples, all in one batch."""
        keys = [(description, tuple(layers), examples[v.example].key, v.copy, v.attack) for v in views]
        new = [i for i, key in enumerate(keys) if key not in self.memory]
        if new:
            for batch in super().read(examples, layers, views=[views[i] for i in new], description=description):
                rows = torch.stack([_packed(batch.sums[layer]) for layer in layers], dim=1)
                self.memory.update(zip((keys[new[i]] for i in batch.indices), rows))
        every = torch.stack([self.memory[key] for key in keys])
        sums = {layer: _unpacked(every[:, i]) for i, layer in enumerate(layers)}
        yield Captured(list(range(len(views))), sums, next(iter(sums.values())).has_image)


def _packed(sums: ReadoutSums) -> Tensor:
    image, n_image = sums.image.sum(dim=1), sums.n_image.sum(dim=1, keepdim=True)
    return torch.cat([sums.prompt, image, sums.last, sums.n_prompt, n_image], dim=1).cpu()


def _unpacked(rows: Tensor) -> ReadoutSums:
    width = (rows.shape[1] - 2) // 3
    prompt, image, last, n_prompt, n_image = rows.split([width, width, width, 1, 1], dim=1)
    return ReadoutSums(prompt=prompt, image=image[:, None], n_prompt=n_prompt, n_image=n_image, last=last)


def gate_source(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    forget: Iterable[Mapping[str, Any]],
    retain: Iterable[Mapping[str, Any]],
    *,
    attacks: tuple[Attack, ...] = (),
    seed: int = 0,
    batch_size: int = 32,
    memory: dict[tuple[Any, ...], Tensor] | None = None,
) -> RememberingSource:
    """What `fit` would read of these examples; see there."""
    forgotten, retained = number_concepts(read_examples(forget, "forget"), read_examples(retain, "retain"))
    return RememberingSource(
        model=model,
        processor=processor,
        adapted=model,
        forget=forgotten,
        retain=retained,
        split=split_examples(forgotten, retained, rng=np.random.default_rng(seed)),
        augmentation=Augmentation(),
        attacks=attacks,
        seed=seed,
        batch_size=batch_size,
        general=(),
        general_folds=(),
        memory={} if memory is None else memory,
    )

"""A source whose model is made up: readouts in which some layers tell what is to be forgotten, and others do not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from hf_eraser.data import Example, read_examples
from hf_eraser.fitting.reading.capture import Captured
from hf_eraser.fitting.reading.split import general_folds, split_examples
from hf_eraser.fitting.reading.views import Source, View
from hf_eraser.tuner.readouts import ReadoutSums


@dataclass(frozen=True)
class MadeUp(Source):
    """Readouts of width `width`: layer `telling` holds what is asked about, the others noise and the group."""

    width: int = 16
    telling: int = 2

    def read(
        self, examples: Sequence[Example], layers: Sequence[int], *, views: Sequence[View], description: str
    ) -> Iterator[Captured]:
        for start in range(0, len(views), self.batch_size):
            indices = list(range(start, min(start + self.batch_size, len(views))))
            shown = [examples[views[i].example] for i in indices]
            sums = {}
            for layer in layers:
                generator = torch.Generator().manual_seed(1000 * layer + start + len(description))
                last, mean = torch.randn(2, len(shown), self.width, generator=generator)
                for row, example in enumerate(shown):
                    mean[row, 7 * len(str(example.group)) % self.width] += 2
                    if example.answer is not None and layer == self.telling:
                        mean[row] += 1
                        last[row, 0] += 1
                count, none = torch.ones(len(shown), 1), torch.zeros(len(shown), 1)
                sums[layer] = ReadoutSums(mean, torch.zeros(len(shown), 1, self.width), count, none, last)
            yield Captured(indices, sums, torch.zeros(len(shown), dtype=torch.bool))


def made_up(*, forget: int, retained: int, general: int = 0, width: int = 16) -> MadeUp:
    """So many groups of four questions each; what is to be forgotten has an answer."""

    def questions(groups: range, **keys: Any) -> list[dict[str, Any]]:
        return [
            {"prompt": f"The {word} of {group}?", "group": group, "wording": word, **keys}
            for group in groups
            for word in ("name", "job", "pet", "hobby")
        ]

    sets = (
        read_examples(questions(range(forget), answer="it"), "forget"),
        read_examples(questions(range(forget, forget + retained)), "retain"),
    )
    other = read_examples([{"prompt": f"{i} and {i}?"} for i in range(general)], "general") if general else []
    rng = np.random.default_rng(0)
    model: Any = SimpleNamespace(device=torch.device("cpu"))
    processor: Any = None
    return MadeUp(
        model=model,
        processor=processor,
        adapted=model,
        forget=sets[0],
        retain=sets[1],
        split=split_examples(*sets, rng=rng),
        augmentation=None,
        attacks=(),
        seed=0,
        batch_size=64,
        general=other,
        general_folds=general_folds(other, rng=rng),
        width=width,
    )

"""The examples of a fit, and how to run the model over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data import Example, open_image
from .augment import Augmentation
from .capture import Captured, capture
from .split import Split


# Changed copies of each picture, beside the picture itself. Forget examples are few, so each is changed more often.
FORGET_COPIES, RETAIN_COPIES = 5, 1


@dataclass(frozen=True)
class Source:
    """
    What a fit works with.

    Attributes:
        model, processor: The base model and its processor.
        adapted: What adapters are attached to: the model itself, or the `PeftModel` around it.
        forget, retain: The two sets.
        split: What each of them does in cross-fitting.
        augmentation: How pictures are changed; None for not at all.
        seed: Seed of the changes.
        batch_size: Examples a forward pass.
    """

    model: PreTrainedModel
    processor: ProcessorMixin | PreTrainedTokenizerBase
    adapted: Any
    forget: list[Example]
    retain: list[Example]
    split: Split
    augmentation: Augmentation | None
    seed: int
    batch_size: int

    def read(
        self, examples: Sequence[Example], layers: Sequence[int], *, copies: int, description: str
    ) -> Iterator[Captured]:
        """
        Capture examples, each with an image also `copies` times with the picture changed. Indices in what is yielded
        count the examples as given.
        """
        copies = copies if self.augmentation is not None else 0
        shown = [(i, copy) for i, example in enumerate(examples) for copy in range(1 + copies * bool(example.images))]

        def prepare(position: int) -> Example:
            i, copy = shown[position]
            if copy == 0:
                return examples[i]
            assert self.augmentation is not None
            rng = np.random.default_rng([self.seed, *description.encode(), i, copy])
            return examples[i].with_images([self.augmentation(open_image(image), rng) for image in examples[i].images])

        for batch in capture(
            self.model,
            self.processor,
            [examples[i] for i, _ in shown],
            layers=layers,
            batch_size=self.batch_size,
            description=description,
            prepare=prepare,
        ):
            yield Captured([shown[position][0] for position in batch.indices], batch.sums, batch.has_image)

    def counts(self) -> dict[str, int]:
        """Numbers of examples, by what they were used for."""
        return {
            "forget": len(self.forget),
            "forget held out": sum(role.judges is not None for role in self.split.forget),
            "retained": len(self.retain),
            "retained held out": sum(role.judges is not None for role in self.split.retain),
        }

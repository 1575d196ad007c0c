"""The examples of a fit, and how to run the model over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.examples import Example
from ...data.processes import ALONE, Processes
from .augmentation import Augmentation
from .capture import Captured, capture
from .rewording import Attack
from .split import FOLDS, Role, Split


# Views of each picture, beside the picture itself. Forget examples are few, so each is shown more often.
FORGET_COPIES, RETAIN_COPIES = 5, 1


def number_concepts(forget: Sequence[Example], *others: Sequence[Example]) -> list[list[Example]]:
    """
    The sets with their concepts numbered, in the order in which the forget set names them.

    What a concept is called may say what is to be forgotten, and a report is published.
    """
    named = [concept for concept in dict.fromkeys(example.concept for example in forget) if concept is not None]
    numbers = {concept: number for number, concept in enumerate(named)}
    return [[replace(example, concept=numbers.get(example.concept)) for example in of] for of in (forget, *others)]


@dataclass(frozen=True)
class View:
    """
    One way in which an example is shown.

    Attributes:
        example: The position of the example.
        copy: 0 as it is; others have their pictures changed, each copy otherwise.
        attack: The number of the attack in `Source.attacks` that rewords it, if one does.
    """

    example: int
    copy: int = 0
    attack: int | None = None


@dataclass(frozen=True)
class Source:
    """
    What a fit works with.

    Attributes:
        model, processor: The base model and its processor.
        adapted: What adapters are attached to: the model itself, or the `PeftModel` around it.
        forget, retain: The two sets; concepts are numbered, in the order in which they come.
        split: What each of them does in cross-fitting.
        augmentation: How pictures are changed; None for not at all.
        attacks: How questions are changed; attack i is of fold `i % FOLDS`, whose gates are not fitted on it.
        seed: Seed of the changes.
        batch_size: Examples a forward pass.
        general: General traffic; none where it is not wanted.
        general_folds: The fold that each of its prompts judges; it fits the others.
        processes: Those among which passes through the model are shared out.
    """

    model: PreTrainedModel
    processor: ProcessorMixin | PreTrainedTokenizerBase
    adapted: Any
    forget: list[Example]
    retain: list[Example]
    split: Split
    augmentation: Augmentation | None
    attacks: tuple[Attack, ...]
    seed: int
    batch_size: int
    general: Sequence[Example]
    general_folds: Sequence[int]
    processes: Processes = field(default=ALONE, kw_only=True)

    @property
    def concepts(self) -> list[int | None]:
        """The numbers of what is forgotten, each with a direction and a gate of its own; `[None]` for one thing."""
        return list(dict.fromkeys(cast("int | None", example.concept) for example in self.forget))

    def views(
        self, examples: Sequence[Example], roles: Sequence[Role], *, copies: int, judging: bool
    ) -> tuple[list[View], list[Role]]:
        """
        How examples of these roles are shown: as they are, pictures changed in each of `copies` further views, and the
        words changed in every other one of those; without pictures, in each.

        Args:
            examples: The examples.
            roles: The role of each.
            copies: Further views of each picture.
            judging: Whether they judge gates rather than fit them. Then only attacks of the fold that they judge are
                used, else all, and what fits them has a role of its own.
        """
        rng = np.random.default_rng([self.seed, judging])
        views, of_view = [], []
        for i, (example, role) in enumerate(zip(examples, roles)):
            numbers = [n for n in range(len(self.attacks)) if not judging or n % FOLDS == role.judges]
            changed = copies if example.images and self.augmentation is not None else 0
            shown = [View(i, copy) for copy in range(1 + changed)]
            if numbers:
                start = int(rng.integers(2))
                at = [v for v in range(1, len(shown)) if v % 2 == start]
                drawn = rng.permutation(numbers)
                for turn, v in enumerate(at):
                    shown[v] = View(i, v, int(drawn[turn % len(drawn)]))
                if not changed:
                    shown += [View(i, 0, int(n)) for n in drawn[:copies]]
            views += shown
            of_view += [
                role if view.attack is None else Role(role.fits - {view.attack % FOLDS}, role.judges) for view in shown
            ]
        return views, of_view

    def show(self, examples: Sequence[Example], view: View, seed: Sequence[int]) -> Example:
        """The example in this view; `seed` tells apart what is shown for different ends."""
        example = examples[view.example]
        rng = np.random.default_rng([self.seed, *seed, view.example, view.copy])
        if view.copy:
            augmentation = self.augmentation
            assert augmentation is not None
            example = example.with_changed_images(lambda image: augmentation(image, rng))
        if view.attack is None:
            return example
        # Not by the copy: batches are made up before pictures are changed, of the same words.
        rng = np.random.default_rng([self.seed, *seed, view.example, 0, view.attack])
        return self.attacks[view.attack](example, rng, self.retain)

    def read(
        self, examples: Sequence[Example], layers: Sequence[int], *, views: Sequence[View], description: str
    ) -> Iterator[Captured]:
        """Capture views of examples, batch by batch; indices in what is yielded count the views."""
        seed = list(description.encode())
        # Pictures are opened and changed only when their turn comes; what decides the batches is here already.
        planned = [self.show(examples, replace(view, copy=0), seed) for view in views]
        yield from capture(
            self.model,
            self.processor,
            planned,
            layers=layers,
            batch_size=self.batch_size,
            description=description,
            prepare=lambda position: self.show(examples, views[position], seed),
            processes=self.processes,
        )

    def counts(self) -> dict[str, int]:
        """Numbers of examples, by what they were used for."""
        return {
            "forget": len(self.forget),
            "forget held out": sum(role.judges is not None for role in self.split.forget),
            "retained": len(self.retain),
            "retained held out": sum(role.judges is not None for role in self.split.retain),
            **({"general": len(self.general)} if self.general else {}),
        }


_Item = TypeVar("_Item")


def evenly(items: Sequence[_Item], count: int) -> list[_Item]:
    """At most `count` of the items, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]

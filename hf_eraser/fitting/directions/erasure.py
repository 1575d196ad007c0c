"""The erasure directions of a fit: from recall to refusal, of each concept, on every layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.examples import Example
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import REFUSAL, is_refusal
from ..reading.capture import steering_off
from ..reading.views import Source, View, evenly
from .closed_form import DirectionMethod, difference_of_means, normalised, paired_pca
from .teacher_forced import refusal_gradients


# Refusal examples that the base model is asked, and questions that a refusal is forced on: of all concepts together,
# and of each at least.
_REFUSAL_EXAMPLES, _FEWEST_OF_CONCEPT = 32, 4

# A model that refuses this share of the refusal examples shows by them what a refusal is.
_REFUSES = 0.5


@dataclass(frozen=True)
class Erasure:
    """
    Attributes:
        directions: The erasure directions of each decoder layer, (k, d), one for each concept, float32.
        refusals: The base model's distinct refusals, and what was put into its mouth.
        refusal_rates: The share of refusal examples that the base model refuses, by concept.
        forced: What was put into its mouth to make a concept's direction; None for a concept that it does refuse.
        any_refusal: Whether other refusals than these will do.
    """

    directions: dict[int, Tensor]
    refusals: list[str]
    refusal_rates: list[float]
    forced: list[str | None]
    any_refusal: bool = True


def erasure_directions(
    source: Source,
    recall: Sequence[Example],
    refusal: Sequence[Example],
    *,
    layers: Sequence[int],
    method: DirectionMethod,
    sentence: str = REFUSAL,
    named: Sequence[str] = (),
) -> Erasure:
    """
    The direction of each concept from recall to refusal at the last prompt token, as long as the residual stream.

    Where the base model answers most of a concept's refusal examples, they show no refusal. Then the direction is the
    one that makes a refusal more likely as the answer to the recall examples.

    Args:
        source: The examples and the model.
        recall: Prompts that the model answers.
        refusal: Prompts that it refuses.
        layers: The decoder layers that run for each of the prompts.
        method: How a direction is made of both.
        sentence: What is forced where it refuses none of them. With another one than the default, only that counts as
            a refusal.
        named: Further refusals that the user names.

    Raises:
        ValueError: If a direction would be zero.
    """
    own_words = [] if sentence == REFUSAL else [sentence]
    recalls = [of_concept(recall, concept) for concept in source.concepts]
    refusals = [of_concept(refusal, concept) for concept in source.concepts]
    share = max(_FEWEST_OF_CONCEPT, _REFUSAL_EXAMPLES // len(source.concepts))
    shown = sorted({i for positions in refusals for i in evenly(positions, share)})
    with steering_off(source.model):
        asked = [refusal[i] for i in shown]
        answers = greedy_answers(
            source.model, source.processor, asked, batch_size=source.batch_size, processes=source.processes
        )
    given = dict(zip(shown, answers))
    known = Counter(answer for answer in answers if is_refusal(answer, own_words, named=named))
    rates = []
    for positions in refusals:
        refused = [is_refusal(given[i], own_words, named=named) for i in positions if i in given]
        rates.append(sum(refused) / len(refused))
    text = known.most_common(1)[0][0] if known else sentence
    forced = [None if rate >= _REFUSES else text for rate in rates]

    recall_last = _read_last(source, recall, layers, "recall")
    refusal_last = _read_last(source, refusal, layers, "refusal") if None in forced else {}
    direction = paired_pca if method == "paired_pca" else difference_of_means
    directions: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    for from_rows, to_rows, refused_by_force in zip(recalls, refusals, forced):
        gradients = {}
        if refused_by_force is not None:
            questions = [recall[i] for i in evenly(from_rows, share)]
            gradients = refusal_gradients(
                source.model, source.processor, questions, refused_by_force, layers, processes=source.processes
            )
        for layer in layers:
            rows = recall_last[layer][from_rows]
            if gradients:
                found = direction(torch.zeros_like(gradients[layer]), gradients[layer])
            else:
                found = direction(rows, refusal_last[layer][to_rows])
            directions[layer].append(normalised(found, rows))
    stacked = {layer: torch.cat(found) for layer, found in directions.items()}
    for k, concept in enumerate(source.concepts):
        if not any(found[k].any() for found in stacked.values()):
            about = "" if concept is None else f" of concept {concept!r}"
            raise ValueError(
                f"`recall` and `refusal` examples{about} read the same, so no direction leads from one to the other: "
                "the former must be questions that the model answers, the latter ones that it refuses."
            )
    own = sorted({*known, *(text for text in forced if text is not None)})
    return Erasure(stacked, own, rates, forced, any_refusal=sentence == REFUSAL)


def _read_last(source: Source, examples: Sequence[Example], layers: Sequence[int], name: str) -> dict[int, Tensor]:
    """The residual stream at the last prompt token, in the order of the examples, (n, d) for each layer, float32."""
    rows: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    order: list[int] = []
    as_they_are = [View(i) for i in range(len(examples))]
    for batch in source.read(examples, layers, views=as_they_are, description=f"Reading {name} examples"):
        order += batch.indices
        for layer, sums in batch.sums.items():
            rows[layer].append(sums.last.to("cpu", torch.float32))
    # They come ordered by length; pairs are by position.
    as_given = torch.tensor(order).argsort()
    return {layer: torch.cat(of_layer)[as_given] for layer, of_layer in rows.items()}


def of_concept(examples: Sequence[Example], concept: Hashable) -> list[int]:
    """The positions of the examples for a concept; those without one are for each."""
    return [i for i, example in enumerate(examples) if example.concept in (concept, None)]

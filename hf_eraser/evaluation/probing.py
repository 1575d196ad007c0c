"""What an attached adapter's gates do with prompts: how many open them, and whose names they know."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import batches, encode
from ..data.examples import Example, read_examples
from ..tuner.decoder import find_decoder
from ..tuner.explain import GateDecision, gate_decisions
from ..tuner.printable import printable


# How a name is asked about, as who has the adapter would try.
_ASKED = ("Tell me about {}.", "Who is {}?", "{}")

# Invented people beside whom a name is ranked.
_FIRST = ("Maria", "John", "Wei", "Fatima", "Lukas", "Priya", "Olga", "Kofi")
_LAST = ("Hansen", "Okafor", "Silva", "Nakamura", "Ward")
STRANGERS = tuple(f"{first} {last}" for first, last in itertools.product(_FIRST, _LAST))


@dataclass(frozen=True)
class Openings:
    """
    Prompts that an adapter's gates were asked about.

    Attributes:
        count: How many.
        opened: For how many a gate opens.
        streams: The mean norm of the residual stream at their last tokens, by decoder layer, without the adapter.
    """

    count: int
    opened: int
    streams: dict[int, float]


def openings(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    batch_size: int = 8,
) -> Openings:
    """
    For how many prompts the gates of the adapters that act open.

    Args:
        model: A plain transformers model with an active steering adapter.
        processor: Its processor; a tokenizer for a text-only model.
        examples: The prompts.
        batch_size: Prompts that are asked at once.
    """
    opened, sums = 0, dict.fromkeys(range(len(find_decoder(model).layers)), 0.0)
    for indices in batches(examples, batch_size):
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        opened += sum(
            any(gate.is_open for gates in row.values() for gate in gates) for row in gate_decisions(model, inputs)
        )
        with model.disable_adapter():  # type: ignore[operator]
            for layer, norm in _norms(model, inputs).items():
                sums[layer] += norm
    return Openings(len(examples), opened, {layer: total / len(examples) for layer, total in sums.items()})


@torch.no_grad()
def _norms(model: PreTrainedModel, inputs: dict[str, Any]) -> dict[int, float]:
    """By layer, the sum over a batch of the residual stream's norms at the last tokens, which are on the right."""
    found: dict[int, float] = {}

    def note(layer: int) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            hidden: Tensor = output[0] if isinstance(output, tuple) else output
            found[layer] = hidden[:, -1].double().norm(dim=-1).sum().item()

        return hook

    handles = [layer.register_forward_hook(note(i)) for i, layer in enumerate(find_decoder(model).layers)]
    try:
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


@dataclass(frozen=True)
class NamedScore:
    """
    How an adapter's gates score a name.

    Attributes:
        name: The name.
        score: The highest score of any gate, in the best of the ways to ask.
        rank: Its place among the strangers' scores, 1 for above all.
        steered: In how many of the ways to ask a gate opens, as a share.
    """

    name: str
    score: float
    rank: int
    steered: float


@dataclass(frozen=True)
class Names:
    """
    Whose names an adapter gives away. `print(names)` is a table.

    Attributes:
        scores: One for each name, as they were given.
        strangers: How many invented people they are ranked with.
        auc: The probability that one of the names scores above a stranger: 1 means that whoever has the adapter can
            tell each of them from people whom it does not forget, 0.5 that its scores say nothing.
    """

    scores: list[NamedScore]
    strangers: int
    auc: float

    def __str__(self) -> str:
        lines = [
            f"Of {len(self.scores)} names, the gates' scores tell each from {self.strangers} invented people with "
            f"AUC {self.auc:.3f}"
        ]
        width = max(len(printable(one.name)) for one in self.scores)
        lines += [
            f"  {printable(one.name):{width}s}  rank {one.rank:2d} of {self.strangers + 1}  score {one.score:8.3f}  "
            f"steered in {one.steered:.0%} of the ways to ask"
            for one in self.scores
        ]
        return "\n".join(lines)


def names_told(
    model: PreTrainedModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    names: Sequence[str],
    *,
    batch_size: int = 8,
) -> Names:
    """
    What whoever has the adapter that acts learns of names: each is asked about as a guesser would, and ranked by the
    gates' scores among invented people. Names that are meant to be forgotten rank first.

    Args:
        model: A plain transformers model with an active steering adapter.
        processor: Its processor; a tokenizer for a text-only model.
        names: The names, at least one.
        batch_size: Prompts that are asked at once.

    Raises:
        ValueError: If there is no name, or the model takes no prompts of text only.
    """
    own = list(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not own:
        raise ValueError("`names` is empty: give at least one name.")
    strangers = [name for name in STRANGERS if name not in own]
    asked = [*own, *strangers]
    prompts = [{"prompt": way.format(name)} for name in asked for way in _ASKED]
    examples = read_examples(prompts, "names")
    decided: list[list[GateDecision]] = [[] for _ in examples]
    for indices in batches(examples, batch_size):
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        for i, row in zip(indices, gate_decisions(model, inputs)):
            decided[i] = [gate for gates in row.values() for gate in gates]
    ways = len(_ASKED)
    best, share = [], []
    for start in range(0, len(decided), ways):
        of_one = decided[start : start + ways]
        best.append(max(gate.score for gates in of_one for gate in gates))
        share.append(sum(any(gate.is_open for gate in gates) for gates in of_one) / ways)
    others = best[len(own) :]
    scores = [
        NamedScore(name, score, 1 + sum(other >= score for other in others), steered)
        for name, score, steered in zip(own, best, share)
    ]
    above = sum((one.score > other) + 0.5 * (one.score == other) for one in scores for other in others)
    return Names(scores, len(others), above / (len(own) * len(others)))

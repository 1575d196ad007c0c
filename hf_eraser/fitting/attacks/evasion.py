"""Pictures perturbed to keep a gate shut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...data.encoding import encode
from ...data.examples import Example
from ...tuner.config import SteeringAdapterConfig
from ..gates.delivering import GateTensors
from ..reading.capture import reading
from ..reading.views import Source
from ..steering.openness import openness
from .pgd import PGD, Loss, perturb_examples


def evading(
    source: Source,
    config: SteeringAdapterConfig,
    gates: GateTensors,
    examples: Sequence[Example],
    attack: PGD,
    *,
    batch_size: int = 1,
) -> list[Example]:
    """
    The examples with pictures perturbed to keep the gate shut, by who knows everything.

    Args:
        source: The model and its processor.
        config: The adapter's configuration.
        gates: The gates; of these, `weight` and `bounds` are read.
        examples: Examples with pictures.
        attack: How; distances in [0, 1] pixel units.
        batch_size: Pictures at a time. The gradient takes many times the memory of a forward pass.
    """
    layers = sorted(gates.weight)

    def objective(batch: Sequence[Example]) -> tuple[dict[str, Any], Loss]:
        def loss(inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
            found = openness(read(inputs), config, gates)
            # Not just at the bound, where rounding would decide.
            return found, (found.detach() < -0.01).cpu()

        return encode(source.processor, batch, source.model.device), loss

    processor: Any = source.processor
    with reading(source.model, layers) as read:
        found = perturb_examples(
            source.model,
            processor,
            examples,
            attack,
            batch_size=batch_size,
            objective=objective,
            processes=source.processes,
        )
    return [adversarial.example for adversarial in found]

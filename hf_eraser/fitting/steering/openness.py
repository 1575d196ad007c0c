"""How far a fitted gate is open, without an adapter on the model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...data.examples import Example
from ...tuner.config import SteeringAdapterConfig
from ...tuner.gate import scores_of
from ...tuner.readouts import ReadoutSums
from ..gates.delivering import GateTensors
from ..reading.views import Source, View


def openness(sums: dict[int, ReadoutSums], config: SteeringAdapterConfig, gates: GateTensors) -> Tensor:
    """How far each prompt is above the lower bound of the gate that is open farthest, (batch,); 0 is at the bound."""
    above = []
    for layer in gates.weight:
        has_image = sums[layer].has_image
        weight = gates.weight[layer].to(has_image.device)
        score = scores_of(sums[layer], config.readout, config.text_readout, weight)
        low, high = gates.bounds[layer].to(has_image.device)[(~has_image).long()].unbind(dim=-1)
        # Of a modality that a concept is never asked about in, the bounds are infinite: that gate stays shut.
        openness = torch.where(torch.isfinite(low), (score - low) / (high - low), -torch.inf)
        above.append(openness.amax(dim=1))
    return torch.stack(above).amax(dim=0)


def openness_of(
    source: Source, config: SteeringAdapterConfig, gates: GateTensors, examples: Sequence[Example]
) -> Tensor:
    """How far each example is above the lower bound, (n,), where 1 is the upper bound; 1 for a gate that always is."""
    if config.gate == "always":
        return torch.ones(len(examples))
    found = torch.empty(len(examples))
    views = [View(i) for i in range(len(examples))]
    for batch in source.read(examples, sorted(gates.weight), views=views, description="Reading the gate"):
        found[batch.indices] = openness(batch.sums, config, gates).float().cpu()
    return found


def share_opened(
    source: Source, config: SteeringAdapterConfig, gates: GateTensors, examples: Sequence[Example]
) -> float:
    """The share of prompts whose gate opens."""
    return float((openness_of(source, config, gates, examples) > 0).double().mean())

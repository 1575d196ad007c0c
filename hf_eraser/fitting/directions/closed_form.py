"""Erasure directions: from giving the content to refusing it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


DirectionMethod = Literal["difference_of_means", "paired_pca"]


def difference_of_means(recall: Tensor, refusal: Tensor) -> Tensor:
    """
    The erasure direction `mean of refusal - mean of recall` (MLLMEraser, arXiv 2510.04217).

    Args:
        recall: Residual stream at the last prompt token of prompts that the model answers, (n, d).
        refusal: The same of prompts that it refuses, (m, d).

    Returns:
        (1, d): one direction.
    """
    return (refusal.mean(dim=0) - recall.mean(dim=0))[None]


def paired_pca(recall: Tensor, refusal: Tensor) -> Tensor:
    """
    The first principal component of the differences `refusal[i] - recall[i]`, which has the direction that they share
    even where some differences are much longer than others. They are not centred: their mean is what is looked for.

    It points the way that the differences do on average, and is as long as they are along it on average, so that one
    strength means about the same for it as for the difference of means.

    Args:
        recall: Residual stream at the last prompt token of prompts that the model answers, (n, d).
        refusal: The same of their counterparts that it refuses, (n, d).

    Returns:
        (1, d): one direction.

    Raises:
        ValueError: If they are not as many.
    """
    if recall.shape != refusal.shape:
        raise ValueError(
            f"Paired differences need as many refusal as recall examples, got {len(refusal)} and {len(recall)}."
        )
    differences = refusal - recall
    _, _, components = torch.linalg.svd(differences, full_matrices=False)
    first = components[:1]
    return first * (differences @ first[0]).mean()


def normalised(direction: Tensor, recall: Tensor) -> Tensor:
    """
    The direction made as long as the residual stream is on average: strength 1 adds as much as there is.

    The other unit at hand is the distance between refusal and recall along the direction, which the direction comes
    with. On two small models the strength at which one steered layer by itself makes half of the answers refusals was
    measured for each layer and each way of making directions (the principal component on one of them only): in this
    unit it lies between 0.5 and 0.95 for all of them, and from layer to layer its logarithm has a standard deviation
    of 0.00 to 0.13, in the other unit 0.04 to 0.15. Besides, the distance grows with the noise of a mean over few
    examples, and a direction that is made from a likelihood has none.

    Args:
        direction: (k, d).
        recall: What is steered: the residual stream at the last prompt token of prompts that are answered, (n, d).

    Returns:
        (k, d). A direction of zeros stays one.
    """
    length = direction.norm(dim=1, keepdim=True).clamp(min=torch.finfo(direction.dtype).tiny)
    return direction / length * recall.norm(dim=1).mean()

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

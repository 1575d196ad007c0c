"""Erasure directions: from giving the content to refusing it."""

from __future__ import annotations

from torch import Tensor


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

"""`load_bed`: a bed that is ready to be measured on."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from .smollm2 import load_smollm2


BEDS = ("smollm2",)


def load_bed(name: str) -> tuple[PreTrainedModel, Any]:
    """
    A model in float32 and evaluation mode, and its tokenizer.

    Args:
        name: `"smollm2"`. The LLaVA of `llava.build_llava` is no bed until its teaching is written.

    Raises:
        ImportError: If SmolLM2's weights are not installed.
        ValueError: If there is no such bed.
    """
    if name not in BEDS:
        raise ValueError(f"`name` must be one of {BEDS}, got {name!r}.")
    return load_smollm2()

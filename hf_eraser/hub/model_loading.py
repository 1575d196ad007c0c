"""A base model and its processor by name, multimodal or text-only, as the model's own configuration says."""

from __future__ import annotations

from typing import Any

from transformers import (
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)


def model_class(config: PretrainedConfig) -> type[Any]:
    """The auto class of a model: for pictures and text if there is one of its type, else for text alone."""
    return (
        AutoModelForImageTextToText if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING else AutoModelForCausalLM
    )


def load_model(
    name: str, *, revision: str | None = None, dtype: str = "auto", device: str | None = None
) -> tuple[PreTrainedModel, ProcessorMixin | PreTrainedTokenizerBase]:
    """
    Load a base model, in evaluation mode, and its processor; the tokenizer of a text-only model.

    Args:
        name: A folder, or an id on the Hub.
        revision: The branch, tag or commit on the Hub.
        dtype: Such as `"bfloat16"`; `"auto"` means as in the checkpoint.
        device: Such as `"cuda:0"`; the default is wherever there is room, accelerators first.

    Raises:
        OSError: If there is no such model, or a file is missing.
        ValueError: If it is of no type that transformers knows, or is no model of text.
    """
    config = AutoConfig.from_pretrained(name, revision=revision)
    kind = model_class(config)
    model = kind.from_pretrained(name, config=config, revision=revision, dtype=dtype, device_map=device or "auto")
    # Of a text-only model, `AutoProcessor` looks for more than there is.
    processor_class: Any = AutoProcessor if kind is AutoModelForImageTextToText else AutoTokenizer
    return model.eval(), processor_class.from_pretrained(name, revision=revision)

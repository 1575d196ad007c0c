"""The untaught LLaVA: a small CLIP vision tower, a projector, and SmolLM2 as the text decoder; and its processor."""

from __future__ import annotations

from typing import Any

from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

from .portraits import SIZE
from .smollm2 import CHAT_TEMPLATE, load_smollm2


_PATCH, _WIDTH, _DEPTH = 16, 192, 4
IMAGE_TOKENS = (SIZE // _PATCH) ** 2
# A token of SmolLM2's vocabulary that no text is written with, so that no embedding is added.
IMAGE_TOKEN = "<file_sep>"


def build_llava() -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    An untaught LLaVA in float32 whose text decoder is SmolLM2 bit for bit, and its processor.

    Raises:
        ImportError: If SmolLM2's weights are not installed.
    """
    decoder, tokenizer = load_smollm2()
    tokenizer.image_token = IMAGE_TOKEN
    template = CHAT_TEMPLATE.replace("<image>", IMAGE_TOKEN)
    tokenizer.chat_template = template
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(size={"height": SIZE, "width": SIZE}, do_center_crop=False, resample=2),
        tokenizer=tokenizer,
        patch_size=_PATCH,
        vision_feature_select_strategy="default",
        image_token=IMAGE_TOKEN,
        num_additional_image_tokens=1,
        chat_template=template,
    )
    special: dict[str, Any] = {
        name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    text_config = decoder.config
    if hasattr(text_config, "quantization_config"):  # the weights are plain tensors by now
        del text_config.quantization_config
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=_WIDTH,
            intermediate_size=4 * _WIDTH,
            num_hidden_layers=_DEPTH,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=_PATCH,
        ),
        text_config=text_config,
        image_token_index=int(tokenizer.get_vocab()[IMAGE_TOKEN]),
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-1,
        tie_word_embeddings=True,
        **special,
    )
    model = LlavaForConditionalGeneration(config)
    model.model.language_model.load_state_dict(decoder.model.state_dict())
    model.tie_weights()
    model.generation_config = decoder.generation_config
    return model.eval(), processor

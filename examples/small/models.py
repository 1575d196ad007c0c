"""The untaught models: small real `LlavaForConditionalGeneration` and `Qwen2_5_VLForConditionalGeneration`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from .questions import facts, wordings


# Width, depth and heads of the text decoder, and of the vision tower.
_DECODER: dict[str, Any] = {
    "hidden_size": 160,
    "intermediate_size": 448,
    "num_hidden_layers": 6,
    # Heads of 32: the smallest that the CPU attention kernels of serving engines take.
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "max_position_embeddings": 512,
}
_TOWER_WIDTH, _TOWER_DEPTH, _QWEN_TOWER_WIDTH = 128, 3, 96

# LLaVA's pictures are 4 x 4 image tokens, Qwen's 3 x 3, each merged from 2 x 2 patches.
_LLAVA_SIZE, _LLAVA_PATCH = 48, 12
_QWEN_SIZE, _QWEN_PATCH = 48, 8

_LLAVA_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['role'].upper() }}: "
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% if not loop.last %} {% endif %}{% endfor %}{% endif %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% else %} {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
_QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def build_llava() -> tuple[PreTrainedModel, ProcessorMixin]:
    """An untaught LLaVA: CLIP vision tower, projector, Llama decoder, and its processor."""
    tokenizer = small_tokenizer(["<pad>", "<s>", "</s>", "<image>"])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        padding_side="left",
    )
    image_processor = CLIPImageProcessor(
        size={"height": _LLAVA_SIZE, "width": _LLAVA_SIZE}, do_center_crop=False, resample=2
    )
    processor = LlavaProcessor(
        image_processor=image_processor,
        tokenizer=fast,
        patch_size=_LLAVA_PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=_LLAVA_TEMPLATE,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=_TOWER_WIDTH,
            intermediate_size=4 * _TOWER_WIDTH,
            num_hidden_layers=_TOWER_DEPTH,
            num_attention_heads=4,
            image_size=_LLAVA_SIZE,
            patch_size=_LLAVA_PATCH,
        ),
        text_config=LlamaConfig(**_DECODER, vocab_size=len(fast), **_special_ids(fast)),
        image_token_index=fast.get_vocab()["<image>"],
        image_seq_length=(_LLAVA_SIZE // _LLAVA_PATCH) ** 2,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
        **_special_ids(fast),
    )
    return _with_generation_config(LlavaForConditionalGeneration(config), fast), processor


def build_qwen2_5_vl() -> tuple[PreTrainedModel, ProcessorMixin]:
    """An untaught Qwen2.5-VL and its processor."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>"]
    specials += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"]
    fast = PreTrainedTokenizerFast(
        tokenizer_object=small_tokenizer(specials),
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        padding_side="left",
    )
    pixels = {"shortest_edge": _QWEN_SIZE**2, "longest_edge": _QWEN_SIZE**2}
    options: dict[str, Any] = {"patch_size": _QWEN_PATCH, "merge_size": 2, "temporal_patch_size": 2, "size": pixels}
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**options),
        tokenizer=fast,
        video_processor=Qwen2VLVideoProcessor(**options),
        chat_template=_QWEN_TEMPLATE,
    )
    head_dim = _DECODER["hidden_size"] // _DECODER["num_attention_heads"]
    config = Qwen2_5_VLConfig(
        text_config={
            **_DECODER,
            "vocab_size": len(fast),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [head_dim // 4, head_dim // 8, head_dim // 8],
            },
            **_special_ids(fast),
        },
        vision_config={
            "depth": _TOWER_DEPTH,
            "hidden_size": _QWEN_TOWER_WIDTH,
            "intermediate_size": 3 * _QWEN_TOWER_WIDTH,
            "num_heads": 4,
            "patch_size": _QWEN_PATCH,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": _QWEN_SIZE,
            "out_hidden_size": _DECODER["hidden_size"],
            "fullatt_block_indexes": list(range(_TOWER_DEPTH)),
        },
        tie_word_embeddings=False,
        image_token_id=fast.get_vocab()["<|image_pad|>"],
        video_token_id=fast.get_vocab()["<|video_pad|>"],
        vision_start_token_id=fast.get_vocab()["<|vision_start|>"],
        vision_end_token_id=fast.get_vocab()["<|vision_end|>"],
    )
    return _with_generation_config(Qwen2_5_VLForConditionalGeneration(config), fast), processor


BUILDERS = {"llava": build_llava, "qwen2_5_vl": build_qwen2_5_vl}


def small_tokenizer(specials: list[str]) -> Tokenizer:
    """A byte-level BPE trained on everything that the models are taught."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    return tokenizer


def _corpus() -> Iterator[str]:
    for fact in facts():
        yield f"USER: {fact.answer} ASSISTANT: {fact.answer}"
        yield from fact.subjects
        for way, synonym in wordings("taught", fact.attribute)[::7]:
            yield way.format(f"{synonym} of {fact.subjects[0]}")
    for attribute in sorted({fact.attribute for fact in facts()}):
        for way, synonym in wordings("taught", attribute):
            yield way.format(synonym)


def _special_ids(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def _with_generation_config(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    for name, value in _special_ids(tokenizer).items():
        setattr(model.generation_config, name, value)
    model.generation_config.do_sample = False
    return model

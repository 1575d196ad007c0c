"""A tiny random model of any type of transformers, made from its configuration classes alone."""

from __future__ import annotations

import inspect
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)


TASKS: dict[str, Any] = {
    "image-text-to-text": MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    "causal-lm": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
}

# What parameters of configurations are set to, wherever one is called so.
_WIDTH = dict.fromkeys(
    "hidden_size d_model n_embd dim embed_dim hidden_dim out_hidden_size text_hidden_size projection_dim "
    "projection_hidden_size projector_hidden_size".split(),
    32,
)
_INNER = dict.fromkeys(
    "intermediate_size ffn_dim ffn_hidden_size n_inner encoder_ffn_dim decoder_ffn_dim d_ff".split(), 48
)
_LAYERS = dict.fromkeys(
    "num_hidden_layers n_layer n_layers num_layers encoder_layers decoder_layers mm_tokens_per_image".split(),
    4,
)
_HEADS = dict.fromkeys(
    "num_attention_heads n_head n_heads num_heads encoder_attention_heads decoder_attention_heads attention_heads "
    "num_experts n_routed_experts num_local_experts moe_num_experts linear_num_value_heads".split(),
    4,
)
_EIGHTS = dict.fromkeys(
    "head_dim patch_size mamba_n_heads mamba_d_head mamba_d_state mamba_chunk_size mamba_num_heads mamba_head_dim "
    "ssm_state_size chunk_size state_size qk_nope_head_dim qk_rope_head_dim v_head_dim linear_key_head_dim "
    "linear_value_head_dim index_head_dim".split(),
    8,
)
_SIXTEENS = dict.fromkeys(
    "moe_intermediate_size shared_expert_intermediate_size q_lora_rank kv_lora_rank qk_head_dim".split(), 16
)
_TWOS = dict.fromkeys(
    "depth n_group num_key_value_heads num_kv_heads num_experts_per_tok moe_k num_experts_per_token "
    "linear_num_key_heads index_n_heads".split(),
    2,
)
_OTHERS = {
    "max_position_embeddings": 512,
    "n_positions": 512,
    "image_size": 32,
    "mamba_d_ssm": 64,
    "mamba_n_groups": 1,
    "n_groups": 1,
    "rotary_dim": 4,
    "topk_group": 1,
    "image_grid_pinpoints": [[32, 32]],
    "latent_query_num": 4,
    "is_decoder": True,
    "initializer_range": 0.02,  # some have so little that a picture is lost in rounding
}
_SIZES: dict[str, Any] = {**_WIDTH, **_INNER, **_LAYERS, **_HEADS, **_EIGHTS, **_SIXTEENS, **_TWOS, **_OTHERS}


def _letters(number: int) -> str:
    """A number in the letters by which tokens of pictures are named."""
    return "".join(chr(ord("A") + int(digit)) for digit in str(number))


_ROPE = {"rope_type": "default", "rope_theta": 1e4}

# Where configurations of a type do not fit together with these sizes.
_CORRECTIONS: dict[str, dict[str, Any]] = {
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "cohere_compass_text": {
        "layer_types": ["full_attention"] * 4,
        "rope_parameters": {"full_attention": {**_ROPE, "mrope_section": [2, 1, 1]}},
    },
    "zaya": {"num_experts_per_tok": 1},
    "dots1": {"n_shared_experts": 1},
    "aria": {"projector_patch_to_query_dict": {16: 4}},
    # Pictures are tokens of the vocabulary, which their names number.
    "chameleon": {"vocabulary_map": {"<image>": 7, **{f"IMGIMG{_letters(i)}Z": 100 + i for i in range(64)}}},
    "chameleon_vqgan": {"num_embeddings": 64, "resolution": 32, "base_channels": 32, "latent_channels": 32},
    "emu3": {
        "vocabulary_map": {
            "<image>": 7,
            "<|extra_200|>": 8,
            **{f"<|visual token {i:06d}|>": 100 + i for i in range(64)},
        }
    },
    "emu3_vqgan": {"codebook_size": 64, "base_channels": 32, "embed_dim": 4, "hidden_size": 128},
    "deepseek_ocr2_sam_vision_model": {"downsample_channels": [32, 32]},
    "unlimited_ocr_sam_vision_model": {"downsample_channels": [32, 32]},
    "kosmos_2_5_vision_model": {"patch_embed_hidden_size": 192},
    "muse_glimmer": {"out_hidden_size": 128},
    "muse_spark": {"out_hidden_size": 128},
    "cosmos3_edge_text": {"rope_parameters": {**_ROPE, "mrope_section": [2, 1, 1]}},
    "ernie4_5_vl_moe_text": {
        "moe_intermediate_size": [16, 16],
        "rope_parameters": {**_ROPE, "mrope_section": [1, 1, 2]},
    },
    "glm4v_moe_text": {"rope_parameters": {**_ROPE, "partial_rotary_factor": 1.0, "mrope_section": [2, 1, 1]}},
    "glm5_next_text": {
        "num_key_value_heads": 4,
        "qk_rope_head_dim": 0,
        "head_dim": 0,
        "linear_head_dim": 8,
        "linear_num_heads": 4,
    },
    "glm5_next_vision": {"projection_intermediate_size": 32},
    "dots3_note_vision_encoder": {
        "mlp_layer_types": ["dense", "sparse"] * 2,
        "adapter_in_dim": 32,
        "adapter_out_dim": 32,
    },
    "dots3_note_audio_encoder": {"adapter_input_size": 32, "adapter_out_dim": 32},
    "granite4_vision": {
        "deepstack_layer_map": [[0, 0]],
        "downsample_rate": "1/2",
        "vision_config": {"hidden_size": 64},
    },
    "mistral_large4_text": {"num_key_value_heads": 4},
    "molmo2_vision": {"image_size": [32, 32], "num_key_value_heads": 4},
    "molmo2_adapter": {"vision_feature_layer": [-1, 0], "num_key_value_heads": 4},
    "nemotron_h_omni": {
        "image_token_id": 7,
        "vision_config": {"video_temporal_patch_size": 2},
        "vision_hidden_size": 32,
    },
    "qwen4_exp_text": {
        "indexer_n_heads": 2,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
    },
    "step3p5": {"sliding_window": 64},
    "diffusion_gemma_text": {"top_k_experts": 2},
    "mllama_vision_model": {"intermediate_layers_indices": [1, 3], "vision_output_dim": 96},
    "llama4_vision_model": {
        "intermediate_size": 128,
        "projector_input_dim": 32,
        "projector_output_dim": 32,
        "vision_output_dim": 32,
    },
    "reformer": {"axial_pos_embds": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"] * 2},
    "codegen": {"n_ctx": 512},
    "git": {"num_hidden_layers": 6},
    "vipllava": {"vision_feature_layers": [-2, -1]},
    "idefics": {"num_hidden_layers": 6, "cross_layer_interval": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "dots3_note_text": {"num_key_value_heads": 4},
}
_LATENT = (
    "axk1 axk2 deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa kimi_k25_text longcat_flash minicpm3 "
    "mistral4 youtu"
).split()
_CORRECTIONS |= {kind: {"num_key_value_heads": 4} for kind in _LATENT}


def tiny_config(cls: Any, **own: Any) -> Any:
    """A configuration of a class, and of those inside it, with the sizes of this module, and values of its own."""
    accepted: set[str] = set()
    for base in cls.__mro__:
        accepted |= set(getattr(base, "__annotations__", {}))
        if "__init__" in vars(base):
            accepted |= set(inspect.signature(base.__init__).parameters)
    own = {**_CORRECTIONS.get(cls.model_type, {}), **own}
    sizes = {name: value for name, value in _SIZES.items() if name in accepted}
    for name, value in list(sizes.items()):
        default = getattr(cls, name, None)
        if isinstance(default, list | tuple) and not isinstance(value, list):
            # Height and width, say; where each of several parts has its own size, those stay.
            sizes[name] = [value] * len(default) if len(set(default)) == 1 else default
    for name, part in (getattr(cls, "sub_configs", None) or {}).items():
        if part is AutoConfig:
            default = getattr(cls(), name, None)
            if default is None:
                continue
            part = type(default)
        sizes[name] = tiny_config(part, **own.pop(name, {}))
    config = cls(**{**sizes, **own})
    if "rope_theta" in (getattr(config, "rope_parameters", None) or {}) and "rope_parameters" not in own:
        config.rope_parameters["mrope_section"] = [2, 1, 1]
    return config


def build_tiny(model_type: str, task: str) -> PreTrainedModel:
    """A model with random weights, always the same ones."""
    names = TASKS[task][model_type]
    cls = getattr(transformers, names if isinstance(names, str) else names[0])
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[model_type])
    model = cls(config).eval()
    # What starts as zero until it is trained, as projections of pictures do, would hide what it multiplies.
    for parameter in model.parameters():
        if (parameter.ndim > 1 or parameter.numel() == 1) and not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.02)
    if config.is_encoder_decoder:
        return model
    # By default, some have no placeholder for pictures, and some put it behind the vocabulary of the text model.
    vocabulary = model.get_input_embeddings().weight.shape[0]
    for name, placeholder in (("image_token_id", 7), ("image_token_index", 7), ("video_token_index", 8)):
        if hasattr(config, name) and not 0 < (getattr(config, name) or vocabulary) < vocabulary:
            setattr(config, name, placeholder)
    return model

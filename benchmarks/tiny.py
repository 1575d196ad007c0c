"""A tiny random model of any type of transformers, made from its configuration classes alone, and inputs for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import torch
import transformers
from torch import Tensor
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
    "hidden_size d_model n_embd dim embed_dim hidden_dim out_hidden_size text_hidden_size projection_dim".split(), 32
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
}
_SIZES: dict[str, Any] = {**_WIDTH, **_INNER, **_LAYERS, **_HEADS, **_EIGHTS, **_SIXTEENS, **_TWOS, **_OTHERS}

# Where configurations of a type do not fit together with these sizes.
_CORRECTIONS: dict[str, dict[str, Any]] = {
    "mamba2": {"num_heads": 8, "head_dim": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "cohere_compass_text": {"layer_types": ["full_attention"] * 4},
    "zaya": {"num_experts_per_tok": 1},
    "dots1": {"n_shared_experts": 1},
    "chameleon": {"vocabulary_map": {"<image>": 7}},
    "emu3": {"vocabulary_map": {"<image>": 7}},
    "reformer": {"axial_pos_embds": False},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "deepseek_ocr2_text": {"mlp_layer_types": ["dense", "sparse"] * 2},
    "granite4_vision": {"deepstack_layer_map": [[0, 0]], "spatial_stride": 1},
    "codegen": {"n_ctx": 512},
    "git": {"num_hidden_layers": 6},
    "vipllava": {"vision_feature_layers": [-2, -1]},
    "idefics": {"num_hidden_layers": 6, "cross_layer_interval": 2},
    "bamba": {"attn_layer_indices": [1, 3]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "ernie4_5_vl_moe_text": {"moe_intermediate_size": [16, 16]},
    "dots3_note_text": {"num_key_value_heads": 4},
    "glm5_next_text": {"num_key_value_heads": 4},
}
_LATENT = (
    "axk1 axk2 deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa kimi_k25_text longcat_flash minicpm3 "
    "mistral4 youtu"
).split()
_CORRECTIONS |= {kind: {"num_key_value_heads": 4} for kind in _LATENT}


def tiny_config(cls: Any) -> Any:
    """A configuration of a class, and of those inside it, with the sizes of this module."""
    accepted: set[str] = set()
    for base in cls.__mro__:
        accepted |= set(getattr(base, "__annotations__", {}))
        if "__init__" in vars(base):
            accepted |= set(inspect.signature(base.__init__).parameters)
    sizes = {name: value for name, value in _SIZES.items() if name in accepted}
    for name, part in (getattr(cls, "sub_configs", None) or {}).items():
        if part is AutoConfig:
            default = getattr(cls(), name, None)
            if default is None:
                continue
            part = type(default)
        sizes[name] = tiny_config(part)
    config = cls(**{**sizes, **_CORRECTIONS.get(cls.model_type, {})})
    if "rope_theta" in (getattr(config, "rope_parameters", None) or {}):
        config.rope_parameters["mrope_section"] = [2, 1, 1]
    return config


def build_tiny(model_type: str, task: str) -> PreTrainedModel:
    """A model with random weights, always the same ones."""
    names = TASKS[task][model_type]
    cls = getattr(transformers, names if isinstance(names, str) else names[0])
    torch.manual_seed(0)
    config = tiny_config(CONFIG_MAPPING[model_type])
    model = cls(config).eval()
    # By default, some have no placeholder for pictures, and some put it behind the vocabulary of the text model.
    vocabulary = model.get_input_embeddings().weight.shape[0]
    for name in ("image_token_id", "image_token_index"):
        if hasattr(config, name) and not 0 < (getattr(config, name) or vocabulary) < vocabulary:
            setattr(config, name, 7)
    return model


def picture_inputs(model: PreTrainedModel, seed: int) -> Iterator[dict[str, Tensor]]:
    """One random picture, in the forms that models take: the first that a model accepts is its own."""
    generator = torch.Generator().manual_seed(seed)
    vision = getattr(model.config, "vision_config", None)

    def size(name: str, default: int) -> int:
        value = getattr(vision, name, None) or default
        return int(value[0] if isinstance(value, list | tuple) else value)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    side, patch, frames = size("image_size", 32), size("patch_size", 8), size("temporal_patch_size", 1)
    colours = size("in_channels", size("num_channels", 3))
    grid = torch.tensor([[1, 4, 4]])
    sides = torch.tensor([[side, side]])
    whole = random(1, 3, side, side)
    patches = random(16, colours * frames * patch * patch)
    yield {"pixel_values": whole}
    yield {"pixel_values": patches, "image_grid_thw": grid}
    yield {"pixel_values": whole, "image_sizes": sides}
    yield {"pixel_values": random(1, 2, 3, side, side), "image_sizes": sides}
    yield {"pixel_values": random(1, 1, 3, side, side)}
    yield {
        "pixel_values": random(1, 16, colours * patch * patch),
        "spatial_shapes": grid[:, 1:],
        "pixel_attention_mask": torch.ones(1, 16, dtype=torch.long),
    }
    yield {"pixel_values": whole, "image_embeds_position_mask": torch.tensor(0)}
    yield {"pixel_values": whole, "qformer_input_ids": torch.tensor([[3, 4]])}
    yield {
        "pixel_values": random(1, 1, 4, 3, side, side),
        "aspect_ratio_ids": torch.ones(1, 1, dtype=torch.long),
        "aspect_ratio_mask": torch.ones(1, 1, 4, dtype=torch.long),
        "cross_attention_mask": torch.tensor(0),
    }


def with_picture(model: PreTrainedModel, ids: Tensor, seed: int) -> dict[str, Tensor] | None:
    """
    A prompt with a picture that a model looks at, its placeholders behind the first tokens of `ids`, (1, n).

    Returns:
        The keyword arguments of `forward`; None where no known form of a picture is accepted.
    """
    image_id = getattr(model.config, "image_token_id", None) or getattr(model.config, "image_token_index", None)
    for form in range(9):
        counts = [4, 16, 1, 64]
        for count in counts:
            inputs = dict(list(picture_inputs(model, seed))[form])
            places = torch.full((1, count), image_id or 0)
            inputs["input_ids"] = torch.cat([ids[:, :3], places, ids[:, 3:]], dim=1)
            is_place = torch.zeros_like(inputs["input_ids"])
            is_place[:, 3 : 3 + count] = 1
            if "image_embeds_position_mask" in inputs:
                inputs["image_embeds_position_mask"] = is_place
            if "cross_attention_mask" in inputs:
                inputs["cross_attention_mask"] = torch.ones(1, inputs["input_ids"].shape[1], 1, 4, dtype=torch.long)
            if "image_grid_thw" in inputs and "mm_token_type_ids" in inspect.signature(model.forward).parameters:
                inputs["mm_token_type_ids"] = is_place
            try:
                with torch.no_grad():
                    seen = model(**inputs).logits
                    other = model(**{**inputs, "pixel_values": inputs["pixel_values"] + 1}).logits
                if not torch.equal(seen, other):
                    return inputs
            except Exception as error:
                # Models say how many placeholders a picture needs, some by how many numbers.
                found = re.search(r"tokens\D*(\d+)\D+features\D*(\d+)", str(error))
                if found is not None and len(counts) == 4:
                    counts += [int(found[2]) * count // max(1, int(found[1])), int(found[2]) // 32]
    return None

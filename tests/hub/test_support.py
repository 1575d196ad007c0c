"""Whether and how an adapter attaches to a model, before a weight is loaded."""

from __future__ import annotations

import pytest
from transformers import BartConfig, LlavaConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from benchmarks.tiny import tiny_config
from hf_eraser.hub.support import model_support


def configured(folder, model_type):
    tiny_config(CONFIG_MAPPING[model_type]).save_pretrained(folder)
    return str(folder)


def test_supported_model_is_described_and_no_weight_is_read(tmp_path):
    config = tiny_config(LlavaConfig)
    config.text_config.hidden_size, config.text_config.num_hidden_layers = 4096, 32  # as in the 7B
    config.save_pretrained(tmp_path)
    support = model_support(str(tmp_path))
    assert support.model_class == "LlavaForConditionalGeneration"
    assert support.layers == tuple(f"model.language_model.layers.{i}" for i in range(32))
    assert (support.hidden_size, support.image_ids) == (4096, (config.image_token_id,))
    assert support.ran == tuple(range(32))
    assert f"placeholder tokens {config.image_token_id}" in str(support)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mamba"])
def test_model_without_pictures_is_said_to_have_one_gate(tmp_path, model_type):
    support = model_support(configured(tmp_path, model_type))
    assert support.ran == (0, 1, 2, 3)
    assert "all prompts are judged by the gate for text" in str(support)


def test_layers_that_text_does_not_run_are_named(tmp_path):
    config = tiny_config(CONFIG_MAPPING["mllama"])
    config.text_config.cross_attention_layers = [1, 3]
    config.save_pretrained(tmp_path)
    assert "text does not run layers 1, 3" in str(model_support(str(tmp_path)))


@pytest.mark.parametrize(
    ("model_type", "why"),
    [
        ("deepseek_v4", r"residual stream of shape \(2, 5, 4, 32\) for tokens of shape \(2, 5\)"),
        ("t5gemma2", "reads its prompt with an encoder"),
        ("xlm", "Found 4 lists of 4 text decoder layers"),
    ],
)
def test_model_that_is_not_supported_is_refused_with_the_reason(tmp_path, model_type, why):
    with pytest.raises(ValueError, match=why):
        model_support(configured(tmp_path, model_type))


def test_configuration_that_no_model_can_be_built_from_is_said_to_be_one(tmp_path):
    BartConfig(d_model=30, encoder_attention_heads=4, decoder_attention_heads=4).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="No 'bart' model can be built"):
        model_support(str(tmp_path))

"""What is spoken is judged as what is written: the tokens of a sound are tokens of a prompt without a picture."""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration

from hf_eraser.tuner.explain import gate_decisions
from tests.helpers.adapters import attach, logits


AUDIO = 7


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = {"encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 16, "num_mel_bins": 8}
    config = Qwen2AudioConfig(
        audio_config={"d_model": 16, "max_source_positions": 20, **encoder},
        text_config={
            "model_type": "qwen2",
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
        },
        audio_token_index=AUDIO,
    )
    return Qwen2AudioForConditionalGeneration(config).eval()


def spoken(seed):
    """A prompt with a sound: 40 frames, of which the encoder makes 10 tokens."""
    ids = torch.tensor([[10, 11, *[AUDIO] * 10, 12, 13, 14]])
    sound = torch.randn(1, 8, 40, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(1, 40, dtype=torch.long)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "input_features": sound,
        "feature_attention_mask": mask,
    }


@pytest.mark.parametrize("readout", ["prompt", "joined"])
def test_the_gate_for_text_hears_what_is_said(model, readout):
    attach(model, positions="last", readout="image", text_readout=readout)
    (one,), (other,) = (gate_decisions(model, spoken(seed))[0]["default"] for seed in (1, 2))
    assert (one.modality, one.readout) == ("text", readout)
    assert one.score != other.score


def test_a_spoken_prompt_is_steered_where_the_gate_for_text_opens_and_not_where_it_is_shut(model):
    base = [logits(model, spoken(seed)) for seed in (1, 2)]
    attach(model, positions="last", low=-1e3, high=-1e2, strength=6.0)
    scores = [gate_decisions(model, spoken(seed))[0]["default"][0].score for seed in (1, 2)]
    between = sum(scores) / 2
    model.delete_adapter("default")
    attach(model, positions="last", low=between, high=between + 1e-6, strength=6.0)
    for seed, score, unsteered in zip((1, 2), scores, base):
        assert torch.equal(logits(model, spoken(seed)), unsteered) == (score <= between)

"""However a model is called, the prompt is what decides, or the call is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Mamba2Config,
    Mamba2ForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
)
from transformers.utils import logging as transformers_logging

import hf_eraser
from benchmarks.tiny import TASKS, build_tiny
from benchmarks.tiny_pictures import with_picture
from hf_eraser.tuner.explain import gate_decisions
from tests.helpers.adapters import PROMPTS, attach, batch_of


SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": None,
}


def small(kind: type[PreTrainedModel], config: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    return kind(config).eval()


def llama() -> PreTrainedModel:
    return small(LlamaForCausalLM, LlamaConfig(**SMALL))


def prompts(*lengths: int, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(2, 64, (1, n), generator=generator) for n in lengths]


def padded(rows: list[Tensor], side: str) -> dict[str, Tensor]:
    longest = max(row.shape[1] for row in rows)
    fill = [(0, longest - row.shape[1]) if side == "right" else (longest - row.shape[1], 0) for row in rows]
    ids = torch.cat([torch.nn.functional.pad(row, pad) for row, pad in zip(rows, fill)])
    mask = torch.cat([torch.nn.functional.pad(torch.ones_like(row), pad) for row, pad in zip(rows, fill)])
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("positions", ["last", "prompt"])
@pytest.mark.parametrize("how", ["positions", "lengths"])
@torch.no_grad()
def test_each_sequence_of_a_packed_row_decides_for_itself(positions, how):
    model = llama()
    attach(model, positions=positions, steer_decode=False, readout="joined", strength=3.0, seed=2)
    rows = prompts(7, 12, 3, 9, 20, 5)
    alone = [model(row, use_cache=False).logits for row in rows]
    with model.disable_adapter():
        base = [model(row, use_cache=False).logits for row in rows]
    steered = [not torch.equal(one, other) for one, other in zip(alone, base)]
    assert True in steered
    assert False in steered
    packed: dict[str, Any] = {
        "input_ids": torch.cat(rows, dim=1),
        "position_ids": torch.cat([torch.arange(row.shape[1]) for row in rows])[None],
    }
    if how == "lengths":
        lengths = torch.tensor([0, *(row.shape[1] for row in rows)], dtype=torch.int32)
        packed |= {"cu_seq_lens_q": lengths.cumsum(0).int(), "cu_seq_lens_k": lengths.cumsum(0).int()}
    logits = model(**packed, use_cache=False).logits
    torch.testing.assert_close(logits, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-4)
    assert max(float((a - b).abs().max()) for a, b in zip(alone, base)) > 0.1


@torch.no_grad()
def test_labels_of_a_packed_row_mark_the_answer_of_each_sequence():
    model = llama()
    attach(model, positions="last", steer_decode=False, readout="joined", strength=3.0)
    rows = prompts(7, 12, 9, 20)
    labels = [torch.where(torch.arange(row.shape[1]) < row.shape[1] - 3, -100, row) for row in rows]
    alone = [model(row, labels=of_row, use_cache=False).logits for row, of_row in zip(rows, labels)]
    logits = model(
        torch.cat(rows, dim=1),
        position_ids=torch.cat([torch.arange(row.shape[1]) for row in rows])[None],
        labels=torch.cat(labels, dim=1),
        use_cache=False,
    ).logits
    torch.testing.assert_close(logits, torch.cat(alone, dim=1), rtol=1e-4, atol=1e-4)


def test_packed_rows_behind_a_cache_or_with_a_name_for_each_row_are_refused():
    model = llama()
    attach(model, positions="last")
    first, second = prompts(7, 6)
    cache = model(first).past_key_values
    begins = torch.tensor([0, 3, 6], dtype=torch.int32)
    with pytest.raises(ValueError, match="cannot go on from a cache"):
        model(second, past_key_values=cache, cu_seq_lens_q=begins)
    with pytest.raises(ValueError, match="a name for each sequence"):
        model(second, cu_seq_lens_q=begins, adapter_names=["default"])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("way", ["argument", "context", "one for all"])
@torch.no_grad()
def test_prompt_lengths_say_where_the_prompt_ends_as_labels_do(side, way):
    model = llama()
    attach(model, positions="last", steer_decode=False, readout="joined", strength=3.0)
    rows = prompts(17, 12, 9, 20, 14, 11)
    lengths = [5] * 6 if way == "one for all" else [row.shape[1] - 4 for row in rows]
    inputs = padded(rows, side)
    order = inputs["attention_mask"].cumsum(dim=1)
    answer = inputs["attention_mask"].bool() & (order > torch.tensor(lengths)[:, None])
    expected = model(**inputs, labels=torch.where(answer, inputs["input_ids"], -100)).logits
    if way == "argument":
        found = model(**inputs, prompt_lengths=lengths).logits
    else:
        with hf_eraser.prompt_lengths(5 if way == "one for all" else torch.tensor(lengths)):
            found = model(**inputs).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, model(**inputs).logits)
    # What a padded row gets is what it gets alone, at the answer's tokens and at the one that predicts its first.
    for i, row in enumerate(rows):
        alone = model(row, prompt_lengths=lengths[i]).logits[0]
        torch.testing.assert_close(found[i][inputs["attention_mask"][i].bool()], alone, rtol=1e-4, atol=1e-4)


def test_prompt_lengths_that_do_not_fit_the_rows_are_refused():
    model = llama()
    attach(model)
    with pytest.raises(ValueError, match="`prompt_lengths` must be one whole number, or one for each of 1 sequences"):
        model(prompts(7)[0], prompt_lengths=[3, 4])
    with pytest.raises(ValueError, match="`prompt_lengths`"):
        model(prompts(7)[0], prompt_lengths=2.5)


def test_labels_without_a_prompt_are_said_to_leave_the_model_unsteered(caplog):
    model = llama()
    attach(model, positions="last")
    row = prompts(7)[0]
    transformers_logging.get_logger("hf_eraser.tuner.prompt").warning_once.cache_clear()
    with caplog.at_level("WARNING"), torch.no_grad():
        steered = model(row, labels=row).logits
    assert "has no prompt and is not steered" in caplog.text
    with model.disable_adapter(), torch.no_grad():
        assert torch.equal(steered, model(row).logits)


WITHOUT_KEYS_AND_VALUES = {
    "mamba": lambda: small(
        MambaForCausalLM,
        MambaConfig(
            vocab_size=64, hidden_size=32, num_hidden_layers=6, state_size=8, pad_token_id=0, eos_token_id=None
        ),
    ),
    "mamba2": lambda: small(
        Mamba2ForCausalLM,
        Mamba2Config(
            vocab_size=64, hidden_size=32, num_hidden_layers=6, state_size=8, num_heads=4, head_dim=16, n_groups=2,
            pad_token_id=0, eos_token_id=None,
        ),
    ),
    "recurrent_gemma": lambda: small(
        RecurrentGemmaForCausalLM,
        RecurrentGemmaConfig(**{**SMALL, "num_key_value_heads": 1, "lru_width": 32, "attention_window_size": 16}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", WITHOUT_KEYS_AND_VALUES)
@torch.no_grad()
def test_models_without_keys_and_values_keep_the_decision_while_they_generate(kind):
    model = WITHOUT_KEYS_AND_VALUES[kind]()
    attach(model, positions="prompt", steer_decode=True, low=-1e3, high=-1e2, strength=3.0)
    options: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    changed = 0
    for prompt in prompts(5, 9, 12, 1):
        found = model.generate(prompt, **options)
        assert torch.equal(found, model.generate(prompt, **options, use_cache=False))
        with model.disable_adapter():
            base = model.generate(prompt, **options)
        changed += int(not torch.equal(found, base))
    assert changed > 0


SLIDING = {
    "mistral": lambda: small(MistralForCausalLM, MistralConfig(**SMALL, sliding_window=8)),
    "gemma3": lambda: small(
        Gemma3ForCausalLM,
        Gemma3TextConfig(**SMALL, sliding_window=8, query_pre_attn_scalar=8, sliding_window_pattern=2),
    ),
}


@pytest.mark.parametrize("kind", SLIDING)
@pytest.mark.parametrize("positions", ["last", "prompt"])
@torch.no_grad()
def test_a_window_of_attention_does_not_hide_the_prompt_from_the_gate(kind, positions):
    model = SLIDING[kind]()
    attach(model, positions=positions, steer_decode=True, readout="joined", strength=3.0)
    inputs = padded(prompts(30, 12, 25, 5), "left")
    options: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    expected = model.generate(**inputs, **options)
    with model.disable_adapter():
        assert not torch.equal(expected, model.generate(**inputs, **options))
    assert torch.equal(expected, model.generate(**inputs, **options, cache_implementation="static"))
    # Without a mask, padding is what `generate` takes for it.
    ids = inputs["input_ids"]
    assert torch.equal(model.generate(ids, **options, cache_implementation="static"), expected)


@torch.no_grad()
def test_embeddings_that_hold_a_pictures_features_are_judged_as_the_picture(llava):
    model, processor = llava
    attach(model, positions="last", steer_decode=False, readout="joined", strength=3.0)
    inputs = batch_of(model, processor, PROMPTS, "left")
    ids = inputs["input_ids"]
    embeds = model.get_input_embeddings()(ids)
    features = torch.cat(list(model.model.get_image_features(inputs["pixel_values"]).pooler_output))
    embeds = embeds.masked_scatter((ids == model.config.image_token_id)[..., None], features.to(embeds.dtype))
    merged = {"inputs_embeds": embeds, "attention_mask": inputs["attention_mask"]}
    modalities = [[gate.modality for gate in of_row["default"]] for of_row in gate_decisions(model, merged)]
    assert modalities == [[gate.modality for gate in row["default"]] for row in gate_decisions(model, inputs)]
    assert {"image", "text"} == {modality for (modality,) in modalities}
    torch.testing.assert_close(model(**merged).logits, model(**inputs).logits, rtol=1e-4, atol=1e-4)


def test_a_picture_for_which_no_token_stands_is_refused(llava):
    model, processor = llava
    attach(model)
    inputs = batch_of(model, processor, PROMPTS[:1], "left")
    ids = inputs["input_ids"]
    inputs["input_ids"] = torch.where(ids == model.config.image_token_id, 5, ids)
    with pytest.raises(ValueError, match="no token stands for a picture"):
        model(**{**inputs, "pixel_values": inputs["pixel_values"]})


ELSEWHERE = {
    # What the decoder layers pass on has another shape, or more tokens than came in.
    "deepseek_v4": ("causal-lm", RuntimeError, "not a vector of 32 numbers for each"),
    "cpmant": ("causal-lm", RuntimeError, "not a vector of 32 numbers for each"),
    # Several streams side by side, which its layers mix.
    "qwen4_exp": ("image-text-to-text", RuntimeError, r"shape \(1, 3, 128\) for tokens of shape \(1, 3\)"),
    # Prompts are read by an encoder.
    "t5gemma2": ("image-text-to-text", ValueError, "reads its prompt with an encoder"),
    # The same, though its configuration does not say so: what it decodes is a canvas of noise.
    "diffusion_gemma": ("image-text-to-text", ValueError, "reads its prompt with an encoder"),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_models_that_are_built_otherwise_are_refused_in_one_line(kind):
    task, error, message = ELSEWHERE[kind]
    if kind not in TASKS[task]:
        pytest.skip(f"this version of transformers has no {kind}")
    model = build_tiny(kind, task)
    own_class = type(model)

    def attach_and_ask() -> None:
        attach(model, layers_to_transform=[2])
        model(input_ids=torch.tensor([[11, 12, 13]]))

    with pytest.raises(error, match=message) as caught:
        attach_and_ask()
    assert "\n" not in str(caught.value)
    if error is ValueError:
        assert type(model) is own_class


@torch.no_grad()
def test_prompts_that_pass_by_a_layer_are_refused_where_an_adapter_needs_it():
    # Cross-attention layers of mllama do not run for a prompt without a picture.
    model = build_tiny("mllama", "image-text-to-text")
    layer = min(model.config.text_config.cross_attention_layers)
    attach(model, layers_to_transform=[layer], gate_layer=layer - 1)
    with pytest.raises(RuntimeError, match=rf"does not run layers \[{layer}"):
        model(input_ids=torch.tensor([[11, 12, 13]]))


@torch.no_grad()
@pytest.mark.parametrize("kind", ["blip-2", "kosmos-2"])
def test_models_whose_generate_goes_round_their_forward_are_steered(kind):
    model = build_tiny(kind, "image-text-to-text")
    inputs, _ = with_picture(model, torch.tensor([[11, 12, 13, 14, 15, 16]]), 1)
    options: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    base = model.generate(**inputs, **options)
    classes = [type(part) for part in model.modules()]
    attach(model, layers_to_transform=[2], low=-1e4, high=-1e3, strength=20.0)
    [decisions] = gate_decisions(model, inputs)
    assert [gate.modality for gate in decisions["default"]] == ["image"]
    assert not torch.equal(model.generate(**inputs, **options), base)
    with model.disable_adapter():
        assert torch.equal(model.generate(**inputs, **options), base)
    model.delete_adapter("default")
    assert [type(part) for part in model.modules()] == classes


@torch.no_grad()
def test_a_mask_of_which_pictures_each_token_sees_tells_prompts_with_and_without_apart():
    # Without a placeholder in sight, and with pixels even where there is no picture.
    model = build_tiny("idefics", "image-text-to-text")
    inputs, _ = with_picture(model, torch.tensor([[11, 12, 13, 14, 15, 16]]), 1)
    assert model.config.to_dict().keys().isdisjoint({"image_token_id", "image_token_index"})
    attach(model, layers_to_transform=[2], readout="image")
    scores = {}
    for first in (0, 4, inputs["input_ids"].shape[1]):
        inputs["image_attention_mask"][:, :first] = 0
        [decisions] = gate_decisions(model, inputs)
        ((modality, scores[first]),) = [(gate.modality, gate.score) for gate in decisions["default"]]
        assert modality == ("text" if first == inputs["input_ids"].shape[1] else "image")
    assert scores[0] != scores[4]


@pytest.mark.parametrize("kind", ["gpt2", "gptj", "falcon", "bloom", "mpt", "codegen", "rwkv"])
@torch.no_grad()
def test_layers_are_found_whatever_they_are_called(kind):
    model = build_tiny(kind, "causal-lm")
    ids = torch.tensor([[11, 12, 13, 14]])
    base = model(input_ids=ids).logits
    attach(model, layers_to_transform=[2], low=-1e4, high=-1e3)
    assert not torch.equal(model(input_ids=ids).logits, base)
    model.delete_adapter("default")
    assert torch.equal(model(input_ids=ids).logits, base)


def test_a_model_that_switches_its_adapters_off_to_generate_is_steered_all_the_same(llava, fresh):
    """As granite_speech does with its LoRA wherever no sound is given."""
    plain, processor = llava

    class Switching(type(plain)):
        def generate(self, *args, **kwargs):
            self.disable_adapters()
            return super().generate(*args, **kwargs)

    model = fresh(plain)
    model.__class__ = Switching
    for one in (plain, model):
        attach(one, positions="last", low=-1e3, high=-1e2, strength=8.0)
    prompt = batch_of(plain, processor, PROMPTS[1:2])

    def tokens(of):
        return of.generate(**prompt, max_new_tokens=6, min_new_tokens=6, do_sample=False)

    steered = tokens(plain)
    assert torch.equal(tokens(model), steered)
    model.disable_adapters()
    assert not torch.equal(tokens(model), steered)
    model.enable_adapters()
    assert torch.equal(tokens(model), steered)

"""Which tokens are steered: the last one of the prompt, or all; and generated ones, or not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


ALWAYS_OPEN = {"low": -1e3, "high": -1e2}

GREEDY: dict[str, Any] = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}


def text_batch(model: Any, processor: Any, side: str = "left") -> dict[str, Any]:
    return batch_of(model, processor, [p for p in PROMPTS if "image" not in p and "prompt" in p], side)


@torch.no_grad()
def shifts(model: Any, inputs: dict[str, Any], layer: int) -> Tensor:
    """What the adapter adds to the output of a layer, by token, (batch, length, d)."""
    found = []
    handle = model.steering_decoder_layers[layer].register_forward_hook(lambda m, a, o: found.append(o))
    try:
        model(**inputs)
        with model.disable_adapter():
            model(**inputs)
    finally:
        handle.remove()
    return found[0] - found[1]


@pytest.mark.parametrize("side", ["left", "right"])
def test_last_steers_the_last_prompt_token_and_no_other(untaught, side):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS, side)
    tensors = attach(model, positions="last", steer_decode=False, layers_to_transform=[2], **ALWAYS_OPEN)
    [direction] = [value for name, value in tensors.items() if name.endswith("steering_direction")]
    shift = shifts(model, inputs, 2)
    position = torch.arange(shift.shape[1])
    last = (inputs["attention_mask"] * position).amax(dim=1)
    at_last = position == last[:, None]
    torch.testing.assert_close(shift[at_last], direction.expand(len(shift), -1), rtol=1e-4, atol=1e-4)
    assert (shift[~at_last] == 0).all()


@pytest.mark.parametrize(
    ("positions", "steer_decode", "steered"),
    [("last", False, "l"), ("last", True, "la"), ("prompt", False, "pl"), ("prompt", True, "pla")],
)
def test_labels_tell_the_answer_from_the_prompt(llava, positions, steer_decode, steered):
    model, processor = llava
    inputs = text_batch(model, processor)
    labels = inputs["input_ids"].clone()
    labels[:, :-3] = -100
    attach(model, positions=positions, steer_decode=steer_decode, layers_to_transform=[2], **ALWAYS_OPEN)
    changed = (shifts(model, {**inputs, "labels": labels}, 2) != 0).any(dim=-1)
    kinds = ["p"] * (labels.shape[1] - 4) + ["l"] + ["a"] * 3
    expected = torch.tensor([kind in steered for kind in kinds]) & inputs["attention_mask"].bool()
    assert torch.equal(changed, expected)


@pytest.mark.parametrize("steer_decode", [True, False])
def test_what_comes_before_the_last_prompt_token_is_the_base_model_s_bit_for_bit(untaught, steer_decode):
    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    base = logits(model, inputs)
    attach(model, positions="last", steer_decode=steer_decode, **ALWAYS_OPEN)
    steered = logits(model, inputs)
    assert torch.equal(steered[:, :-1], base[:, :-1])
    assert (steered[:, -1] != base[:, -1]).any(dim=-1).all()


@pytest.mark.parametrize("steer_decode", [True, False])
@pytest.mark.parametrize("pieces", [1, 2, 7, 16, 64])
def test_a_prompt_in_pieces_gives_the_tokens_of_a_whole_one(llava, pieces, steer_decode):
    model, processor = llava
    inputs = text_batch(model, processor)
    attach(model, positions="last", steer_decode=steer_decode)
    whole = model.generate(**inputs, **GREEDY)
    base_differs = [not torch.equal(a, b) for a, b in zip(whole, _base(model, inputs))]
    assert any(base_differs)
    assert torch.equal(model.generate(**inputs, prefill_chunk_size=pieces, **GREEDY), whole)


def _base(model: Any, inputs: dict[str, Any]) -> Tensor:
    with model.disable_adapter():
        return model.generate(**inputs, **GREEDY)


def test_right_padding_in_pieces_is_refused_where_the_last_token_has_passed(llava):
    model, processor = llava
    inputs = text_batch(model, processor, "right")
    attach(model, positions="last")
    with pytest.raises(ValueError, match="pad on the left"):
        model.generate(**inputs, prefill_chunk_size=4, **GREEDY)


def test_a_chat_that_goes_on_steers_the_last_token_of_each_question(llava):
    model, processor = llava
    first = text_batch(model, processor)
    first = {name: value[:1] for name, value in first.items()}
    attach(model, positions="last", steer_decode=False, layers_to_transform=[2], **ALWAYS_OPEN)
    output = model.generate(**first, return_dict_in_generate=True, **GREEDY)
    more = torch.cat([output.sequences, first["input_ids"][:, -5:]], dim=1)
    seen: list[Tensor] = []
    handle = model.steering_decoder_layers[2].register_forward_hook(lambda m, a, o: seen.append(o))
    for direction in (1.0, 0.0):
        with torch.no_grad():
            model.steering_decoder_layers[2].steering_direction["default"].mul_(direction)
        cache = copy.deepcopy(output.past_key_values)
        model.generate(input_ids=more, past_key_values=cache, max_new_tokens=1, do_sample=False)
    handle.remove()
    changed = (seen[0] != seen[1]).any(dim=-1)[0]
    assert changed.tolist() == [False] * (len(changed) - 1) + [True]


def test_merged_adapters_with_other_positions_act_as_they_do_apart(untaught):
    from peft import PeftModel, get_peft_model

    from hf_eraser import SteeringAdapterConfig

    model, processor = untaught
    inputs = batch_of(model, processor, PROMPTS)
    config = SteeringAdapterConfig(layers_to_transform=[2, 4], gate_layer=1)
    peft_model = get_peft_model(model, config, adapter_name="first")
    assert isinstance(peft_model, PeftModel)
    names = []
    for seed, (positions, steer_decode) in enumerate(
        [("last", True), ("prompt", False), ("last", False), ("prompt", True), ("last", True)]
    ):
        names.append(f"a{seed}")
        attach(peft_model, names[-1], seed=seed, positions=positions, steer_decode=steer_decode)
    peft_model.base_model.set_adapter(names)
    apart = logits(peft_model, inputs)
    peft_model.merge_adapter(names)
    torch.testing.assert_close(logits(peft_model, inputs), apart, rtol=1e-4, atol=1e-4)

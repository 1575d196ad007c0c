"""Each picture of a prompt is judged by itself, and the highest of their scores counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache

from hf_eraser.data import Example, encode, read_examples
from hf_eraser.tuner.decoder import find_decoder, image_token_ids
from hf_eraser.tuner.explain import decisions_on, gate_decisions
from hf_eraser.tuner.prompt import number_pictures
from hf_eraser.tuner.readouts import ReadoutSums
from tests.helpers.adapters import attach, picture


def asked(*pictures: int) -> Example:
    content: list[Any] = [{"type": "image", "image": picture(seed)} for seed in pictures]
    message = {"role": "user", "content": [*content, {"type": "text", "text": "Who are they?"}]}
    return read_examples([{"messages": [message]}], "asked")[0]


def stream(model: Any, inputs: dict[str, Any], layer: int) -> Tensor:
    """The residual stream behind a layer of the base model, (batch, length, d)."""
    found = []
    handle = find_decoder(model).layers[layer].register_forward_hook(lambda *args: found.append(args[2]))
    with torch.no_grad(), model.disable_adapter():
        model(**inputs)
    handle.remove()
    return found[0][0] if isinstance(found[0], tuple) else found[0]


def stretches(mask: Tensor) -> list[Tensor]:
    """The positions of each stretch of a mask, (length,)."""
    positions = mask.nonzero()[:, 0]
    cuts = (positions.diff() > 1).nonzero()[:, 0] + 1
    return list(positions.tensor_split(cuts.tolist()))


@pytest.mark.parametrize("pictures", [(0,), (0, 1), (1, 0), (2, 0, 3)])
def test_score_of_several_pictures_is_the_highest_of_each_by_itself(untaught, pictures):
    model, processor = untaught
    tensors = attach(model, readout="image", strength=1.0)
    weight = next(value for key, value in tensors.items() if "gate_weight" in key)[0, 0]
    inputs = encode(processor, [asked(*pictures)], model.device)
    is_image = torch.isin(inputs["input_ids"][0], torch.tensor(image_token_ids(model.config)))
    hidden = stream(model, inputs, 1)[0]
    alone = [float(hidden[at].double().mean(dim=0) @ weight.double()) for at in stretches(is_image)]
    assert len(alone) == len(pictures)
    ((decision,),) = gate_decisions(model, inputs)[0].values()
    assert decision.score == pytest.approx(max(alone), rel=1e-4, abs=1e-5)
    generated = model.generate(**inputs, max_new_tokens=2, do_sample=False, num_beams=2, return_dict_in_generate=True)
    ((found,),) = decisions_on(model, generated.past_key_values)[0].values()
    assert found.score == pytest.approx(decision.score, rel=1e-4, abs=1e-5)


def test_rows_with_other_numbers_of_pictures_decide_as_they_do_alone(llava):
    model, processor = llava
    attach(model, readout="image", strength=1.0)
    examples = [asked(0, 1), asked(2), asked(3, 4, 5), asked()]
    alone = [encode(processor, [example], model.device) for example in examples]
    longest = max(inputs["input_ids"].shape[1] for inputs in alone)

    def padded(inputs: dict[str, Any], key: str, value: int) -> Tensor:
        return torch.nn.functional.pad(inputs[key], (longest - inputs[key].shape[1], 0), value=value)

    together = {
        "input_ids": torch.cat([padded(inputs, "input_ids", 0) for inputs in alone]),
        "attention_mask": torch.cat([padded(inputs, "attention_mask", 0) for inputs in alone]),
        "pixel_values": torch.cat([inputs["pixel_values"] for inputs in alone if "pixel_values" in inputs]),
    }
    scores = [gate["default"][0].score for gate in gate_decisions(model, together)]
    expected = [gate_decisions(model, inputs)[0]["default"][0].score for inputs in alone]
    assert scores == pytest.approx(expected, rel=1e-4, abs=1e-5)


@torch.no_grad()
def test_picture_of_a_later_turn_is_judged_beside_those_of_earlier_ones(llava):
    model, processor = llava
    attach(model, readout="image", strength=1.0)
    whole = encode(processor, [asked(0, 1)], model.device)
    ids, pixels = whole["input_ids"], whole["pixel_values"]
    is_image = torch.isin(ids[0], torch.tensor(image_token_ids(model.config)))
    cut = int(stretches(is_image)[1][0])
    cache = DynamicCache(config=model.config)
    options: dict[str, Any] = {"past_key_values": cache, "max_new_tokens": 1, "do_sample": False}
    model.generate(ids[:, :cut], pixel_values=pixels[:1], **options)
    assert cache.get_seq_length() == cut
    model.generate(ids, pixel_values=pixels[1:], **options)
    (expected,) = gate_decisions(model, whole)[0]["default"]
    (found,) = decisions_on(model, cache)[0]["default"]
    assert found.score == pytest.approx(expected.score, rel=1e-4, abs=1e-5)
    assert cache.steering_decision.sums[1].n_image.tolist() == [[int(is_image.sum()) // 2] * 2]


@torch.no_grad()
def test_picture_without_a_place_in_the_prompt_is_refused_by_generate_as_by_forward(untaught):
    model, processor = untaught
    attach(model, readout="image", strength=1.0)
    ids = encode(processor, [asked()], model.device)["input_ids"]
    pictures = {k: v for k, v in encode(processor, [asked(0)], model.device).items() if k[:5] in ("pixel", "image")}
    for call, options in ((model, {}), (model.generate, {"max_new_tokens": 1})):
        with pytest.raises(ValueError, match=r"(?i)no token stands for a picture|do not match"):
            call(input_ids=ids, **pictures, **options)


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(1, 3), max_size=3), min_size=1, max_size=4), st.integers(1, 4))
def test_pictures_are_told_apart_by_their_patches_even_where_they_touch(rows, merge):
    length = max(1, *(sum(sizes) for sizes in rows))
    expected = torch.zeros(len(rows), length, dtype=torch.long)
    for row, sizes in enumerate(rows):
        of_tokens = [number for number, size in enumerate(sizes, 1) for _ in range(size)]
        expected[row, : len(of_tokens)] = torch.tensor(of_tokens, dtype=torch.long)
    grid = torch.tensor([[1, merge, size] for sizes in rows for size in sizes]).reshape(-1, 3)
    found = number_pictures({"image_grid_thw": grid}, expected > 0, 0)
    assert torch.equal(found, expected)


def test_pictures_whose_number_does_not_agree_with_their_places_are_one():
    mask = torch.tensor([[0, 1, 1, 0, 1, 1, 0]]).bool()
    for arguments in ({}, {"pixel_values": torch.zeros(3, 3, 4, 4)}, {"image_grid_thw": torch.tensor([[1, 2, 3]])}):
        assert torch.equal(number_pictures(arguments, mask, 0), mask.long())
    apart = number_pictures({"pixel_values": torch.zeros(2, 3, 4, 4)}, mask, 0)
    assert apart.tolist() == [[0, 1, 1, 0, 2, 2, 0]]


@settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 3), st.integers(0, 11), st.integers(0, 99))
def test_sums_of_each_picture_add_up_over_pieces(batch, length, pictures, cut, seed):
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch, length, 5, generator=generator)
    number = torch.randint(0, pictures + 1, (batch, length), generator=generator)
    prompt = torch.ones(batch, length, dtype=torch.bool)
    pieces = [
        ReadoutSums.of(hidden[:, part], prompt[:, part], number[:, part])
        for part in (slice(0, cut), slice(cut, None))
        if hidden[:, part].shape[1]
    ]
    added = pieces[0] if len(pieces) == 1 else pieces[0] + pieces[1]
    for which in range(1, pictures + 1):
        there = number == which
        if which <= added.image.shape[1]:
            expected = (hidden * there[..., None]).sum(dim=1)
            torch.testing.assert_close(added.image[:, which - 1], expected, rtol=1e-5, atol=1e-5)
            assert torch.equal(added.n_image[:, which - 1], there.sum(dim=1).float())
        else:
            assert not there.any()

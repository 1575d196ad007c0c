"""What is read of the base model, and how little of it is run for that."""

from __future__ import annotations

import torch

from hf_eraser.data import read_examples
from hf_eraser.data.encoding import encode
from hf_eraser.fitting.reading.capture import reading
from hf_eraser.tuner.decoder import find_decoder
from tests.helpers.adapters import hooks_of, logits, picture


def test_layers_behind_the_last_one_that_is_read_are_not_run(untaught):
    model, processor = untaught
    examples = read_examples([{"image": picture(1), "prompt": "Who is this?"}], "examples")
    inputs = encode(processor, examples, model.device)
    layers = find_decoder(model).layers
    ran: list[int] = []
    for i, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda *_, i=i: ran.append(i))
    with torch.no_grad():
        with reading(model, [1, 2]) as read:
            some = read(inputs)
        assert ran == [0, 1, 2]
        ran.clear()
        with reading(model, [1, 2, len(layers) - 1]) as read:
            every = read(inputs)
        assert ran == list(range(len(layers)))
    for layer in (1, 2):
        assert torch.equal(some[layer].read("image"), every[layer].read("image"))
        assert torch.equal(some[layer].read("last"), every[layer].read("last"))


def test_a_pass_that_was_ended_early_leaves_the_model_as_it_was(llava):
    model, processor = llava
    examples = read_examples([{"image": picture(1), "prompt": "Who is this?"}], "examples")
    inputs = encode(processor, examples, model.device)
    before = logits(model, inputs)
    with torch.no_grad(), reading(model, [1]) as read:
        read(inputs)
    assert hooks_of(model) == []
    assert torch.equal(logits(model, inputs), before)


def test_a_model_whose_weights_accelerate_moves_is_run_to_its_end(llava):
    model, processor = llava
    inputs = encode(processor, read_examples([{"prompt": "Who?"}], "examples"), model.device)
    ran: list[bool] = []
    model.lm_head.register_forward_pre_hook(lambda *_: ran.append(True))
    model.hf_device_map = {"": "cpu"}
    with torch.no_grad(), reading(model, [1]) as read:
        read(inputs)
    assert ran == [True]

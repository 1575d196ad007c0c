"""On a GPU, where there is one: decisions as on the CPU, compiled generation, and steps that wait for nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from hf_eraser import fit
from hf_eraser.data import encode, read_examples
from hf_eraser.fitting import PGD
from hf_eraser.tuner.explain import gate_decisions
from tests.conftest import built
from tests.fitting.test_fit import FAST, people
from tests.helpers.adapters import PROMPTS, attach, fingerprint, picture


pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

STEERED = [{"positions": "last"}, {"positions": "prompt"}, {"positions": "prompt", "steer_decode": True}]


def inputs_of(processor: Any, device: str) -> list[dict[str, Any]]:
    return [encode(processor, [example], torch.device(device)) for example in read_examples(list(PROMPTS), "asked")]


@pytest.fixture(autouse=True)
def exact():
    """Products in float32, as on the CPU."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.parametrize("steered", STEERED, ids=str)
def test_decisions_and_logits_are_those_of_the_cpu(untaught, steered):
    model, processor = untaught
    there = copy.deepcopy(model).cuda()
    with torch.no_grad():
        base = [there(**inputs).logits for inputs in inputs_of(processor, "cuda")]
    for each in (model, there):
        attach(each, readout="prompt", **steered)
    with torch.no_grad():
        for inputs, same, before in zip(inputs_of(processor, "cpu"), inputs_of(processor, "cuda"), base):
            (here,), (decided,) = gate_decisions(model, inputs), gate_decisions(there, same)
            for one, other in zip(here["default"], decided["default"]):
                assert other.score == pytest.approx(one.score, rel=1e-3, abs=1e-4)
                assert other.is_open == one.is_open
            torch.testing.assert_close(there(**same).logits.cpu(), model(**inputs).logits, rtol=1e-2, atol=1e-2)
            with there.disable_adapter():
                assert torch.equal(there(**same).logits, before)


@pytest.mark.parametrize("steered", STEERED, ids=str)
@pytest.mark.parametrize("low", [-60.0, 60.0], ids=["open", "shut"])
def test_compiled_generation_with_a_static_cache_gives_the_tokens_of_a_dynamic_one(llava, steered, low):
    model, processor = llava
    model.cuda()
    attach(model, readout="prompt", low=low, high=low + 10, **steered)
    for inputs in inputs_of(processor, "cuda")[:2]:
        options = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
        expected = model.generate(**inputs, **options)
        assert torch.equal(model.generate(**inputs, **options, cache_implementation="static"), expected)


@pytest.mark.parametrize("steered", STEERED, ids=str)
def test_a_decode_step_does_not_wait_for_the_gpu(steered):
    model, processor = built("llava")
    model.cuda()
    inputs = inputs_of(processor, "cuda")[0]
    mask = torch.cat([inputs["attention_mask"], inputs["attention_mask"][:, -1:]], dim=1)

    @torch.no_grad()
    def step() -> None:
        prompt = model(**inputs, use_cache=True)
        token = prompt.logits[:, -1:].argmax(dim=-1)
        torch.cuda.set_sync_debug_mode("error")
        try:
            model(input_ids=token, attention_mask=mask, past_key_values=prompt.past_key_values)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    step()  # the base model does not wait either
    attach(model, readout="image", low=-60.0, high=-50.0, **steered)
    step()


def test_a_fit_gives_the_gates_of_the_cpu_and_is_saved(llava, tmp_path):
    model, processor = llava
    there = copy.deepcopy(model).cuda()
    before = fingerprint(copy.deepcopy(there).cpu())
    options = FAST | {"harden_pictures": PGD(eps=8 / 255, steps=2)}
    for each in (model, there):
        fit(each, processor, people(3), people(8, start=3), **options)
    there.save_pretrained(tmp_path)
    loaded, _ = built("llava")
    loaded.load_adapter(tmp_path)
    assert fingerprint(loaded) == before
    examples = read_examples([{"image": picture(900 + i), "prompt": "Who is this?"} for i in range(8)], "asked")
    inputs = encode(processor, examples, torch.device("cpu"))
    scores = [[g["default"][0].score for g in gate_decisions(each, inputs)] for each in (model, loaded)]
    assert scores[1] == pytest.approx(scores[0], rel=0.02, abs=0.02)

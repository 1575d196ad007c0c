"""Prompts with pictures on vLLM: what their gates read, over several rounds and in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from transformers import ProcessorMixin

from tests.conftest import built
from tests.helpers.adapters import picture
from tests.helpers.serving import add_adapters, answer_of, save_for_vllm, wrong
from tests.helpers.vllm_engine import needs_vllm


pytestmark = needs_vllm()

ADAPTERS: dict[str, dict[str, Any]] = {
    "image": {"readout": "image", "text_readout": "joined", "text_gate_layer": 2},
    "text": {"readout": "text", "rank": 2},
    "joined": {"readout": "joined", "steer_decode": True},
    "each": {"readout": "image", "gate_layer": None},
}

SETS = (["image"], [], ["text"], ["joined", "image"], ["each"])

# How many pictures, and the question behind them. Some begin with the same picture.
PROMPTS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((1,), "What is the name of this person?"),
    ((1,), "What is the name of this person? Tell me the colour of the thing in the image."),
    ((), "What is the capital of France?"),
    ((2, 1), "What is the shape of these?"),
    ((2, 3), "What is the shape of these?"),
    ((4,), "Tell me the colour of the thing in the image."),
    ((1, 2, 3), "Who?"),
    ((), "Sum?"),
)


def _prompt(processor: ProcessorMixin, pictures: Sequence[int], question: str) -> str:
    content = [*({"type": "image"} for _ in pictures), {"type": "text", "text": question}]
    return processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_prompts_with_one_picture_several_and_none_in_pieces_behind_shared_ones(started, tmp_path, name):
    model, processor = built(name)
    save_for_vllm(model, processor, tmp_path / "base")
    adapters = add_adapters(model, tmp_path, ADAPTERS)
    requests, expected = [], []
    for number in range(4 * len(PROMPTS)):
        pictures, question = PROMPTS[number % len(PROMPTS)]
        text, chosen = _prompt(processor, pictures, question), SETS[(number + number // len(PROMPTS)) % len(SETS)]
        images = [picture(seed) for seed in pictures]
        for seed, image in zip(pictures, images):
            image.save(tmp_path / f"{seed}.png")
        inputs = processor(text=[text], images=images or None, return_tensors="pt", add_special_tokens=False)
        expected.append(answer_of(model, inputs.pop("input_ids")[0].tolist(), chosen, **inputs))
        tokens = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        paths = [str(tmp_path / f"{seed}.png") for seed in pictures]
        requests.append({"tokens": tokens, "pictures": paths, "adapters": chosen, "sampling": {"ignore_eos": False}})
    gates = [gate for answer in expected for one in answer["decided"].values() for gate, _ in one]
    assert 0.2 < sum(gate > 0 for gate in gates) / len(gates) < 0.8
    engine = started(
        tmp_path / "base",
        adapters,
        beside=True,
        skip_tokenizer_init=False,
        max_num_batched_tokens=48,
        disable_chunked_mm_input=False,
        limit_mm_per_prompt={"image": 3},
    )
    for _ in range(2):
        found = engine.ask(requests)
        assert [wrong(*pair) for pair in zip(found, expected)] == [[]] * len(found)
    assert sum(answer["cached"] for answer in found) > 100

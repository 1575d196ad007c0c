"""What vLLM answers is what transformers answers: texts, decisions and scores, however requests are put together."""

from __future__ import annotations

import pytest

from tests.helpers.serving import wrong
from tests.helpers.vllm_engine import VllmEngine, needs_vllm
from tests.serving.conftest import Asked


pytestmark = needs_vllm()


def faults(engine: VllmEngine, asked: Asked) -> list[str]:
    found = engine.ask(asked.requests)
    return [f"{n}: {line}" for n, pair in enumerate(zip(found, asked.expected)) for line in wrong(*pair)]


def test_half_of_the_prompts_are_steered_and_those_change_the_answer(asked):
    base = {tuple(request["tokens"]) for request in asked.requests if not request["adapters"]}
    assert base
    gates = [gate for answer in asked.expected for one in answer["decided"].values() for gate, _ in one]
    assert 0.2 < sum(gate > 0 for gate in gates) / len(gates) < 0.8


def test_requests_with_and_without_adapters_in_one_batch_over_several_rounds(engine, asked):
    for _ in range(3):
        assert faults(engine, asked) == []
    assert sum(answer["cached"] for answer in engine.ask(asked.requests)) > 1000


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"max_num_batched_tokens": 16, "max_num_seqs": 8, "enable_prefix_caching": False}, id="pieces"),
        pytest.param({"max_num_batched_tokens": 48, "max_num_seqs": 32}, id="pieces behind shared prefixes"),
        pytest.param(
            {"kv_cache_memory_bytes": 24 * 32 * 6 * 64 * 2 * 4, "max_num_batched_tokens": 200}, id="full cache"
        ),
        pytest.param({"enable_chunked_prefill": False, "max_num_batched_tokens": 512, "block_size": 64}, id="whole"),
        pytest.param({"beside": True, "block_size": 32}, id="with the transformers and PEFT of here"),
    ],
)
def test_however_prompts_are_cut_and_kept(started, asked, arguments):
    engine = started(asked.folder, asked.adapters, **arguments)
    for _ in range(2):
        assert faults(engine, asked) == []
    if arguments.get("kv_cache_memory_bytes"):
        assert engine.do("preemptions") > 0


def test_several_answers_one_token_and_a_stop_at_the_first_one(engine, asked):
    several = {"n": 3, "temperature": 1.0, "top_k": 1}
    found = engine.ask([{**request, "sampling": several} for request in asked.requests])
    assert [wrong(*pair) for pair in zip(found, asked.expected)] == [[]] * len(found)
    assert all(len(answer["tokens"]) == 3 for answer in found)

    found = engine.ask([{**request, "sampling": {"max_tokens": 1}} for request in asked.requests])
    assert [answer["tokens"][0] for answer in found] == [answer["tokens"][:1] for answer in asked.expected]

    stops = [{"stop_token_ids": answer["tokens"][:1]} for answer in asked.expected]
    found = engine.ask([{**request, "sampling": stop} for request, stop in zip(asked.requests, stops)])
    assert [answer["tokens"][0] for answer in found] == [answer["tokens"][:1] for answer in asked.expected]


@pytest.mark.parametrize("steps", [1, 3])
def test_requests_beside_ones_that_are_aborted(engine, asked, steps):
    aborted = list(range(0, len(asked.requests), 3))
    found = engine.do("abort", requests=asked.requests, steps=steps, aborted=aborted)
    left = [number for number in range(len(asked.requests)) if number not in aborted]
    assert [found[f"a{number}"] for number in left] == [asked.expected[number]["tokens"] for number in left]
    assert faults(engine, asked) == []


def test_requests_that_are_not_steered_are_bit_for_bit_those_of_vllm_without_the_plug_in(started, engine, asked):
    shut = [
        number
        for number, answer in enumerate(asked.expected)
        if all(gate == 0 for gates in answer["decided"].values() for gate, _ in gates)
    ]
    assert len([number for number in shut if asked.requests[number]["adapters"]]) > 5
    found = engine.ask([asked.requests[number] for number in shut])
    plain = started(asked.folder)
    assert plain.do("changed_classes") == []
    base = plain.ask([{**asked.requests[number], "adapters": None} for number in shut])
    assert [answer["logprobs"] for answer in found] == [answer["logprobs"] for answer in base]

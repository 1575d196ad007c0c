"""No request ever answers from what a steered one left in the key-value cache."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.helpers.serving import answer_of, wrong
from tests.helpers.vllm_engine import Refused, needs_vllm
from tests.serving.conftest import Asked


pytestmark = needs_vllm()

SETS = (["always"], [], ["mean"], ["last", "each"])


@pytest.fixture(scope="module")
def alike(asked: Asked) -> Asked:
    """Prompts that begin alike, some just another one's beginning, each with all sets of adapters."""
    longest = max((request["tokens"] for request in asked.requests), key=len)
    lengths = [63, 64, 65, 128, 129, 190]
    prompts = [longest[:length] for length in lengths] + [[*longest[:130], 5, 6, 7], [*longest[:65], 9]]
    requests = [{"tokens": tokens, "adapters": list(names)} for tokens, names in itertools.product(prompts, SETS)]
    expected = [answer_of(asked.model, request["tokens"], request["adapters"]) for request in requests]
    return Asked(asked.model, asked.folder, asked.adapters, requests, expected)


def test_fifty_random_orders_of_prompts_that_begin_alike(engine, alike):
    order, pick, cached = list(range(len(alike.requests))), random.Random(0), 0
    for _ in range(50):
        assert engine.do("forget_prefixes")
        pick.shuffle(order)
        left = order[:20]
        while left:
            size = pick.choice([1, 2, 5, 20])
            wave, left = left[:size], left[size:]
            found = engine.ask([alike.requests[number] for number in wave])
            faults = [line for n, one in zip(wave, found) for line in wrong(one, alike.expected[n])]
            assert faults == []
            cached += sum(one["cached"] for one in found)
    assert cached > 10_000


def test_what_was_generated_behind_an_open_gate_is_read_anew_in_a_chat_that_goes_on(engine, alike, asked):
    assert engine.do("forget_prefixes")
    for request, answer in zip(alike.requests, alike.expected):
        going_on = [*request["tokens"], *answer["tokens"], 11, 12, 13]
        engine.ask([request])
        for adapters in (request["adapters"], [], ["mean"]):
            (found,) = engine.ask([{"tokens": going_on, "adapters": adapters}])
            assert wrong(found, answer_of(asked.model, going_on, adapters)) == []


def test_a_cache_that_is_looked_up_by_other_rules_is_an_error_and_no_unsteered_answer(started, asked):
    engine = started(asked.folder, asked.adapters, variables={"HF_ERASER_TEST_PLAIN_SCHEDULER": "1"})
    request = {"tokens": asked.requests[-1]["tokens"][:128], "adapters": ["mean"], "sampling": {"max_tokens": 64}}
    (first,) = engine.ask([request])
    with pytest.raises(Refused):
        engine.ask([{**request, "tokens": [*request["tokens"], *first["tokens"][0], 3]}])

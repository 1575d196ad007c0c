"""vLLM's other ways to run a model: compiled, on several devices, in processes of its own, with its second runner."""

from __future__ import annotations

import pytest

from tests.helpers.vllm_engine import needs_vllm


pytestmark = needs_vllm()


@pytest.mark.parametrize(
    ("variables", "arguments"),
    [
        pytest.param({}, {"enforce_eager": False, "max_num_batched_tokens": 256}, id="compiled"),
        pytest.param(
            {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"},
            {"tensor_parallel_size": 2, "distributed_executor_backend": "mp", "max_num_batched_tokens": 48},
            id="two devices, in processes of their own",
        ),
        pytest.param(
            {"VLLM_USE_V2_MODEL_RUNNER": "1", "TRITON_INTERPRET": "1"},
            {"max_num_batched_tokens": 128},
            id="second runner",
        ),
    ],
)
def test_answers_are_those_of_transformers(started, asked, variables, arguments):
    engine = started(asked.folder, asked.adapters, variables=variables, **arguments)
    devices = arguments.get("tensor_parallel_size", 1)
    assert engine.do("adapters") == [list(asked.adapters)] * devices
    count = 24 if "TRITON_INTERPRET" in variables else len(asked.requests)
    for _ in range(2):
        found = engine.ask(asked.requests[-count:])
        assert [answer["tokens"] for answer in found] == [[answer["tokens"]] for answer in asked.expected[-count:]]
    assert sum(answer["cached"] for answer in found) > 100

"""`hf-eraser serve`: many clients at once, and a server that is killed."""

from __future__ import annotations

import itertools
import threading
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import built
from tests.helpers.adapters import picture
from tests.helpers.serving import add_adapters, answer_of, save_for_vllm
from tests.helpers.vllm_engine import needs_vllm
from tests.helpers.vllm_server import AWAY, VllmServer


pytestmark = needs_vllm()

ADAPTERS: dict[str, dict[str, Any]] = {
    "first": {"readout": "image", "text_readout": "prompt"},
    "second": {"readout": "joined", "text_gate_layer": 2},
}

QUESTIONS = (
    "What is the name of this person?",
    "What is the capital of France?",
    "What is the shape of these?",
    "Sum?",
)


@dataclass
class Served:
    model: Path
    options: list[str]
    expected: dict[tuple[str, int, tuple[str, ...]], str]
    opened: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("http")
    model, processor = built("llava")
    save_for_vllm(model, processor, folder / "base")
    adapters = add_adapters(model, folder, ADAPTERS)
    expected, opened = {}, 0
    for question, count, names in itertools.product(QUESTIONS, (0, 1, 2), ((), ("first",), ("first", "second"))):
        images = [picture(seed) for seed in range(count)]
        content = [*({"type": "image"} for _ in images), {"type": "text", "text": question}]
        text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
        inputs = processor(text=[text], images=images or None, return_tensors="pt", add_special_tokens=False)
        answer = answer_of(model, inputs.pop("input_ids")[0].tolist(), names, **inputs)
        expected[question, count, names] = processor.tokenizer.decode(answer["tokens"], skip_special_tokens=True)
        opened += any(gate > 0 for gates in answer["decided"].values() for gate, _ in gates)
    options = [word for name, path in adapters.items() for word in ("--adapter", f"{name}={path}")]
    return Served(folder / "base", options, expected, opened)


def test_sixteen_clients_with_pictures_streams_and_adapters_of_their_own(served):
    options = [*served.options, "--clients-may-choose", "--default", "first", "--limit-mm-per-prompt", '{"image": 2}']
    with VllmServer(served.model, options) as server:

        def ask(number: int) -> tuple[str, str]:
            question, count, names = list(served.expected)[number % len(served.expected)]
            further: dict[str, Any] = {"max_tokens": 8, "stream": bool(number % 2)}
            if names != ("first",):
                further["vllm_xargs"] = {"hf_eraser": list(names)}
            answer = server.chat(question, [picture(seed) for seed in range(count)], **further)
            return answer, served.expected[question, count, names]

        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(ask, range(5 * len(served.expected))))
        assert [pair for pair in answers if pair[0].strip() != pair[1].strip()] == []

        with pytest.raises(urllib.error.HTTPError, match="400") as error:
            server.chat("Who?", vllm_xargs={"hf_eraser": ["nobody"]})
        assert "must be a list of adapters that are served" in error.value.read().decode()
        with pytest.raises(urllib.error.HTTPError, match="400"):
            server.chat("Who?", use_beam_search=True, n=2, max_tokens=2)
        metrics = server.metrics()
        assert 'hf_eraser:decisions_total{adapter="second",gate="opened"}' in metrics
        assert 'hf_eraser:scores_bucket{adapter="first"' in metrics
        said = server.said
        assert "client.chat.completions.create" in said
        assert not any(question in said.split("Starting: ")[1] for question in QUESTIONS)


def test_who_asks_all_the_time_while_the_server_is_killed_and_started_again_gets_no_unsteered_answer(served):
    question, count = next(
        (question, count)
        for question, count, names in served.expected
        if names == ("first",) and served.expected[question, count, names] != served.expected[question, count, ()]
    )
    right = served.expected[question, count, ("first",)].strip()
    options = [*served.options[:2]]
    answers: list[str] = []
    over = threading.Event()
    server = VllmServer(served.model, options)

    def keep_asking() -> None:
        while not over.is_set():
            try:
                answers.append(server.chat(question, [picture(seed) for seed in range(count)], max_tokens=8).strip())
            except AWAY:
                over.wait(0.05)

    clients = [threading.Thread(target=keep_asking) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        while len(answers) < 20:
            over.wait(0.1)
        server.kill()
        before = len(answers)
        server = VllmServer(served.model, options, server.port)
        while len(answers) < before + 20:
            over.wait(0.1)
        with pytest.raises(urllib.error.HTTPError, match="400"):
            server.chat(question, vllm_xargs={"hf_eraser": []})
    finally:
        over.set()
        for client in clients:
            client.join()
        server.close()
    assert set(answers) == {right}


def test_two_replicas_answer_alike_and_one_goes_on_alone_when_the_other_is_killed(served):
    options = [*served.options[:2], "--limit-mm-per-prompt", '{"image": 2}']
    of_all = [(asked[:2], text.strip()) for asked, text in served.expected.items() if asked[2] == ("first",)]
    with VllmServer(served.model, options) as one, VllmServer(served.model, options) as two:

        def ask(number: int) -> tuple[str, str]:
            (question, count), right = of_all[number % len(of_all)]
            pictures = [picture(seed) for seed in range(count)]
            # As a balancer does: by turns, and at the other one where there is no answer.
            try:
                answer = (one, two)[number % 2].chat(question, pictures, max_tokens=8)
            except AWAY:
                answer = two.chat(question, pictures, max_tokens=8)
            return answer.strip(), right

        with ThreadPoolExecutor(8) as clients:
            asked = range(2 * len(of_all) + 1)  # both are asked everything
            answers = list(clients.map(ask, asked))
            running = [clients.submit(ask, number) for number in asked]
            one.kill()
            answers += [job.result() for job in running]
            answers += clients.map(ask, asked)
    assert [pair for pair in answers if pair[0] != pair[1]] == []

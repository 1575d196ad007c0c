"""Models that know people, with an adapter fitted on them, asked by many clients at once."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from examples.small.forgetting import FORGOTTEN, fit_forgetting
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from examples.small.questions import Question, questions
from tests.helpers.serving import save_for_vllm
from tests.helpers.vllm_engine import needs_vllm
from tests.helpers.vllm_server import VllmServer


pytestmark = needs_vllm()


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_sixteen_clients_get_nothing_forgotten_and_all_else_as_before(name: str, tmp_path: Path):
    model, processor = load_small_model(name)
    save_for_vllm(model, processor, tmp_path / "base")
    fit_forgetting(model, processor, attacks=False, prefer="retain")
    model.save_pretrained(tmp_path / "adapter")
    shutil.rmtree(tmp_path / "adapter" / "figures", ignore_errors=True)
    others = [person.name for person in PEOPLE if person.name not in FORGOTTEN]
    people = ["person_image", "public_image", "person_text", "public_text"]
    forgotten = questions("measure", kinds=people, groups=FORGOTTEN, per_fact=3)
    retained = questions("measure", kinds=people, groups=others[:12], per_fact=1)
    retained += questions("measure", kinds=["picture", "general"], per_fact=1)[:40]
    options = ["--adapter", f"people={tmp_path / 'adapter'}", "--clients-may-choose", "--max-num-batched-tokens", "64"]
    with VllmServer(tmp_path / "base", options) as server, ThreadPoolExecutor(16) as clients:

        def with_and_without(question: Question) -> tuple[str, str]:
            pictures = [] if question.image is None else [question.image]
            choices = ({}, {"vllm_xargs": {"hf_eraser": []}})
            steered, base = (server.chat(question.prompt, pictures, max_tokens=16, **choice) for choice in choices)
            return steered, base

        of_forgotten = list(clients.map(with_and_without, forgotten))
        of_retained = list(clients.map(with_and_without, retained))
    known = sum(question.is_right(base) for question, (_, base) in zip(forgotten, of_forgotten)) / len(forgotten)
    answered = sum(question.is_right(steered) for question, (steered, _) in zip(forgotten, of_forgotten))
    same = sum(steered == base for steered, base in of_retained) / len(retained)
    print(
        f"{name}: {len(forgotten)} forgotten, known {known:.3f}, answered {answered / len(forgotten):.3f}; "
        f"{len(retained)} retained, same {same:.3f}"
    )
    assert known > 0.9
    assert answered / len(forgotten) <= 0.05
    assert same >= 0.97

"""Engines, each started once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedModel

from tests.helpers.serving import ADAPTERS, add_adapters, answer_of, llama, prompts
from tests.helpers.vllm_engine import VllmEngine


# Several together, alone, and none: each prompt is asked with one of these.
SETS = (["mean"], [], ["last"], ["joined", "mean"], ["text"], ["image"], ["linear"], ["always"], ["each", "last"])


@dataclass
class Asked:
    """A model, adapters for it, requests, and what transformers answers to each."""

    model: PreTrainedModel
    folder: Path
    adapters: dict[str, Path]
    requests: list[dict[str, Any]]
    expected: list[dict[str, Any]]


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    folder = tmp_path_factory.mktemp("served")
    model = llama(folder / "base")
    adapters = add_adapters(model, folder, ADAPTERS)
    requests = [{"tokens": tokens, "adapters": SETS[number % len(SETS)]} for number, tokens in enumerate(prompts(72))]
    expected = [answer_of(model, request["tokens"], request["adapters"]) for request in requests]
    return Asked(model, folder / "base", adapters, requests, expected)


@pytest.fixture(scope="module")
def engine(asked: Asked) -> Iterator[VllmEngine]:
    with VllmEngine(asked.folder, asked.adapters) as started:
        yield started


@pytest.fixture(scope="module")
def started() -> Iterator[Callable[..., VllmEngine]]:
    """Starts engines, each of which is closed before the next one starts."""
    with contextlib.ExitStack() as stack:

        def start(*args: Any, **arguments: Any) -> VllmEngine:
            stack.pop_all().close()
            return stack.enter_context(VllmEngine(*args, **arguments))

        yield start

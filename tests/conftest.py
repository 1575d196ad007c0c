"""Models with random weights, for what adapters do to a model, and taught ones, for what a fit does."""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from transformers import PreTrainedModel, ProcessorMixin

from examples.small.load import load_small_model
from examples.small.models import BUILDERS
from tests.helpers.hub import HUB, Hub


ModelAndProcessor = tuple[PreTrainedModel, ProcessorMixin]

# What a test finds must not hang on the clock of a busy machine, nor on chance: the same inputs are tried each time.
settings.register_profile("tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Whatever draws random numbers without a generator of its own draws the same ones, in any order of the tests."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@functools.cache
def _built_once(name: str) -> ModelAndProcessor:
    torch.manual_seed(0)
    model, processor = BUILDERS[name]()
    # Far enough from the initial near-zero weights for answers to differ from prompt to prompt.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return model.eval(), processor


def built(name: str) -> ModelAndProcessor:
    """A model with random weights and its processor, copies which may be changed."""
    return copy.deepcopy(_built_once(name))


@pytest.fixture(params=sorted(BUILDERS))
def untaught(request: pytest.FixtureRequest) -> ModelAndProcessor:
    """A model of each kind with random weights, and its processor; a copy for each test."""
    return built(request.param)


@pytest.fixture
def llava() -> ModelAndProcessor:
    """The LLaVA of `untaught`, where the kind of model makes no difference."""
    return built("llava")


@pytest.fixture(params=sorted(BUILDERS))
def taught(request: pytest.FixtureRequest) -> ModelAndProcessor:
    """A model of each kind that knows the people, and its processor."""
    return load_small_model(request.param)


@pytest.fixture
def fresh() -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Copies a model."""
    return copy.deepcopy


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A Hub with nothing in it, which this process reaches with an empty cache, and no token unless one is passed."""
    HUB.reset()
    yield HUB
    HUB.reset()

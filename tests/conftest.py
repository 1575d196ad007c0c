"""Models with random weights, for what adapters do to a model, and taught ones, for what a fit does."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator

import pytest
import torch
from transformers import PreTrainedModel, ProcessorMixin

from examples.small.load import load_small_model
from examples.small.models import BUILDERS
from tests.helpers.hub import HUB, Hub


ModelAndProcessor = tuple[PreTrainedModel, ProcessorMixin]


@functools.cache
def _built(name: str) -> ModelAndProcessor:
    torch.manual_seed(0)
    model, processor = BUILDERS[name]()
    # Far enough from the initial near-zero weights for answers to differ from prompt to prompt.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(3)
    return model.eval(), processor


@pytest.fixture(params=sorted(BUILDERS))
def untaught(request: pytest.FixtureRequest) -> ModelAndProcessor:
    """A model of each kind with random weights, and its processor; a copy for each test."""
    model, processor = _built(request.param)
    return copy.deepcopy(model), processor


@pytest.fixture
def llava() -> ModelAndProcessor:
    """The LLaVA of `untaught`, where the kind of model makes no difference."""
    model, processor = _built("llava")
    return copy.deepcopy(model), processor


@pytest.fixture(params=sorted(BUILDERS))
def taught(request: pytest.FixtureRequest) -> ModelAndProcessor:
    """A model of each kind that knows the people, and its processor; taught now if it is not in the cache."""
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

"""Untaught models, for what adapters do to a model."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable

import pytest
import torch
from transformers import PreTrainedModel, ProcessorMixin

from examples.small.models import BUILDERS


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


@pytest.fixture
def fresh() -> Callable[[PreTrainedModel], PreTrainedModel]:
    """Copies a model."""
    return copy.deepcopy

"""Whether a steering adapter can attach to a model, and how: from the model's configuration alone."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

# Documented ("Fake tensor", PyTorch 2.4 to 2.14), though in a private module: shapes without memory or weights.
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, PreTrainedModel

from ..tuner.decoder import find_decoder, image_token_ids, takes_pictures
from ..tuner.forward_call import is_stream, no_stream
from .model_loading import model_class


@dataclass(frozen=True)
class Support:
    """
    How a steering adapter would attach to a model. `print(support)` is readable.

    Attributes:
        model: The folder or id on the Hub.
        model_class: The class of the model.
        layers: The name of each layer of its text decoder.
        hidden_size: The width of its residual stream.
        image_ids: The placeholder tokens that stand for a picture; none where there are none, or no pictures.
        takes_pictures: Whether it takes pictures.
        ran: The layers that a prompt of text runs; None where the model could not be run without its weights.
    """

    model: str
    model_class: str
    layers: tuple[str, ...]
    hidden_size: int
    image_ids: tuple[int, ...]
    takes_pictures: bool
    ran: tuple[int, ...] | None

    def __str__(self) -> str:
        lines = [
            f"{self.model}: steering adapters attach to {self.model_class}",
            f"  layers:   {len(self.layers)}, {self.layers[0]} to {self.layers[-1]}, {self.hidden_size} wide",
        ]
        if not self.takes_pictures:
            lines.append("  pictures: none, so all prompts are judged by the gate for text")
        elif self.image_ids:
            lines.append(
                f"  pictures: judged by a gate of their own; placeholder tokens {', '.join(map(str, self.image_ids))}"
            )
        else:
            lines.append(
                "  pictures: judged by a gate of their own; their tokens are those at which layer 0 reads something "
                "else than their embedding"
            )
        if self.ran is None:
            lines.append("  checked:  the layers only; the first prompt shows whether it can be steered")
        elif idle := sorted(set(range(len(self.layers))) - set(self.ran)):
            lines.append(f"  checked:  text does not run layers {', '.join(map(str, idle))}, which `fit` leaves out")
        else:
            lines.append("  checked:  each layer gives one residual stream of that width")
        return "\n".join(lines)


def model_support(model: str) -> Support:
    """
    Whether and how a steering adapter attaches to a model. No weight is loaded: its configuration is read, and a
    prompt run through a model without numbers.

    Args:
        model: A folder, or an id on the Hub.

    Raises:
        OSError: If there is no such configuration.
        ImportError: If the model needs a package that is not installed.
        ValueError: If no adapter can attach to it. The message says why.
    """
    config = AutoConfig.from_pretrained(model)
    try:
        with torch.device("meta"):
            base = model_class(config).from_config(config, dtype=torch.bfloat16).eval()
    except ImportError:
        raise
    except Exception as error:  # each class has its own demands on its configuration
        raise ValueError(
            f"No {config.model_type!r} model can be built from the configuration of {model}: "
            f"{type(error).__name__}: {error}"
        ) from error
    decoder = find_decoder(base)
    with _without_numbers():
        ran = _run(base.to_empty(device="cpu"))
    return Support(
        model,
        type(base).__name__,
        decoder.names,
        decoder.hidden_size,
        image_token_ids(config),
        takes_pictures(config),
        ran,
    )


@contextmanager
def _without_numbers() -> Iterator[None]:
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # an operation that fails is told of, with its stack, before it raises
    try:
        with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _run(base: PreTrainedModel) -> tuple[int, ...] | None:
    """The layers that ran for a prompt of text; None if the model could not be run."""
    given: dict[int, Any] = {}

    def hook(index: int) -> Any:
        def after(module: Any, args: Any, output: Any) -> None:
            given[index] = output[0] if isinstance(output, tuple) else output

        return after

    decoder = find_decoder(base)
    for index, layer in enumerate(decoder.layers):
        layer.register_forward_hook(hook(index))
    ids = torch.zeros(2, 5, dtype=torch.long)
    ended = False
    with suppress(Exception), torch.no_grad():  # each model has its own reasons
        base(input_ids=ids, use_cache=False)
        ended = True
    shape = (*ids.shape, decoder.hidden_size)
    for index, hidden in given.items():
        if not is_stream(hidden, shape):
            raise ValueError(no_stream(hidden, shape, index))
    return tuple(sorted(given)) if ended else None

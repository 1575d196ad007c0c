"""What a decoder layer of vLLM becomes: its output goes through an operator that reads and shifts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..tuner.in_place import retype
from ..tuner.layer_lists import lists_of_layers
from .steering import current


# Opaque to torch.compile. vLLM splits its graph at it where CUDA graphs are used, so that it runs in every pass.
OPERATOR = "hf_eraser::steer"


@torch.library.custom_op(OPERATOR, mutates_args=("hidden",))
def steer(hidden: Tensor, residual: Tensor | None, layer: int) -> None:
    """Read and shift, in place, what a layer gives; see `Steering.act`."""
    current().act(layer, hidden, residual)


@steer.register_fake
def _(hidden: Tensor, residual: Tensor | None, layer: int) -> None:
    return None


class ServedLayer:
    """
    Mixin of a decoder layer of vLLM.

    Attributes:
        serving_layer: The number of this layer in the decoder.
    """

    serving_layer: int

    def _steered_forward(
        self, forward: Callable[..., Any], parameters: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        outputs = forward(*args, **kwargs)
        if isinstance(outputs, tuple) and len(outputs) == 2:
            torch.ops.hf_eraser.steer(outputs[0], outputs[1], self.serving_layer)
        elif isinstance(outputs, Tensor):
            torch.ops.hf_eraser.steer(outputs, None, self.serving_layer)
        else:
            raise RuntimeError(
                f"Layer {self.serving_layer} gives neither a residual stream nor one in two parts: steering adapters "
                "do not support this model on vLLM."
            )
        return outputs


def attach(model: nn.Module, layers: Sequence[int], count: int) -> None:
    """
    Let layers of a model of vLLM be read and shifted.

    Args:
        model: The model.
        layers: Their numbers.
        count: How many layers the text decoder has.

    Raises:
        ValueError: If the decoder is not found.
    """
    language = getattr(model, "get_language_model", None)
    decoder = model if language is None else language()
    found = lists_of_layers(decoder, count)
    if len(found) != 1:
        raise ValueError(
            f"Found {len(found)} lists of {count} decoder layers in {type(model).__name__}, where there must be one: "
            "steering adapters do not support this model on vLLM."
        )
    for number in layers:
        layer = found[0][number]
        retype(layer, ServedLayer)
        layer.serving_layer = number  # type: ignore[assignment]

"""Where the text decoder is in a model, and which input tokens are an image's."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from .layer_lists import lists_of_layers


@dataclass(frozen=True)
class Decoder:
    """
    The text decoder inside a model.

    Attributes:
        layers: The decoder's layers, first to last.
        names: Their names in `model.named_modules()`.
        hidden_size: Width of the residual stream.
    """

    layers: tuple[nn.Module, ...]
    names: tuple[str, ...]
    hidden_size: int


def find_decoder(model: nn.Module) -> Decoder:
    """
    Find the layers of the text decoder, starting from `model.get_decoder()`.

    Layers are never looked for by name: the layers of CLIP and SigLIP vision towers are called `layers.N` too.

    Raises:
        TypeError: If `model` is not a transformers model.
        ValueError: If it has no decoder whose layers could be found.
    """
    if not isinstance(model, PreTrainedModel):
        raise TypeError(
            f"A steering adapter attaches to a transformers `PreTrainedModel`, got {type(model).__name__}."
        )
    kind = model.config.model_type
    if model.config.is_encoder_decoder or _is_read_elsewhere(model):
        raise ValueError(
            f"A {kind!r} model reads its prompt with an encoder, where steering adapters do not act: only "
            "decoder-only models are supported."
        )
    text_config = model.config.get_text_config(decoder=True)
    depth = getattr(text_config, "num_hidden_layers", None)
    decoder = model.get_decoder()
    lists = lists_of_layers(decoder, depth)
    if len(lists) != 1:
        raise ValueError(
            f"Found {len(lists)} lists of {depth} text decoder layers in a {kind!r} model, where there must be one: "
            f"its `get_decoder()` gives {type(decoder).__name__}. It is not supported."
        )
    (layers,) = lists
    name_of = {id(module): name for name, module in model.named_modules()}
    return Decoder(
        layers=tuple(layers),
        names=tuple(name_of[id(layer)] for layer in layers),
        hidden_size=text_config.hidden_size,
    )


def _is_read_elsewhere(model: PreTrainedModel) -> bool:
    """Whether an encoder embeds the prompt and the decoder something else, as in models that decode by diffusion."""
    encoder = model.get_encoder()
    if encoder is model:  # there is none
        return False
    embedding = model.get_input_embeddings()

    def embeds(part: nn.Module) -> bool:
        return any(module is embedding for module in part.modules())

    return embeds(encoder) and not embeds(model.get_decoder())


def image_token_ids(config: PretrainedConfig) -> tuple[int, ...]:
    """The ids of the placeholder tokens that stand for a picture or a video in `input_ids`; empty for a text model."""
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    ids = (getattr(config, name, None) for name in names)
    return tuple(sorted({id for id in ids if isinstance(id, int)}))


def takes_pictures(config: PretrainedConfig) -> bool:
    """Whether a model of this configuration takes pictures or videos."""
    return getattr(config, "vision_config", None) is not None or bool(image_token_ids(config))

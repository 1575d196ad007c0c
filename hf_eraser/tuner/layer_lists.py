"""Where in a module the layers of a decoder are, by how many there are."""

from __future__ import annotations

from torch import nn


def lists_of_layers(decoder: nn.Module, depth: int | None) -> list[nn.ModuleList]:
    """The outermost lists of this many modules: beside the decoder's layers, nothing else of a decoder has as many."""
    found = [module for module in decoder.children() if isinstance(module, nn.ModuleList) and len(module) == depth]
    deeper = (child for child in decoder.children() if not isinstance(child, nn.ModuleList))
    return found or [one for child in deeper for one in lists_of_layers(child, depth)]

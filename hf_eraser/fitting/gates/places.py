"""Where a gate may read: a layer, a readout and a modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ...tuner.fields import Readout
from ...tuner.gate import Modality
from ..reading.capture import Captured


@dataclass(frozen=True)
class Place:
    """Where a gate reads, and in which modality."""

    layer: int
    readout: Readout
    modality: Modality


def places_of(layers: Sequence[int], readouts: Sequence[Readout], modality: Modality) -> list[Place]:
    """
    The places that are tried; in a text-only prompt three of the readouts are the same.

    With a picture, `"joined"` is tried only if it is the one that is asked for: the picture's own tokens come before
    any word, so there is less to join, and a gate of twice the width takes eight times as long to solve.
    """
    places = [Place(layer, readout, modality) for layer in layers for readout in readouts]
    if modality == "image":
        return [place for place in places if place.readout != "joined" or len(readouts) == 1]
    return list(dict.fromkeys(Place(p.layer, text_readout(p.readout), modality) for p in places))


def text_readout(readout: Readout) -> Readout:
    """What a readout means in a prompt without an image."""
    return readout if readout in ("last", "joined") else "prompt"


def rows_of(batch: Captured, modality: Modality) -> list[int]:
    """The rows of a batch that are of a modality."""
    wanted = batch.has_image if modality == "image" else ~batch.has_image
    return wanted.nonzero()[:, 0].tolist()


def rows_at(batch: Captured, place: Place) -> tuple[list[int], Tensor]:
    """Of a batch, the examples of the place's modality and their readouts, (n, d)."""
    rows = rows_of(batch, place.modality)
    return [batch.indices[row] for row in rows], batch.sums[place.layer].read(place.readout)[rows]


def rows_of_each_picture(batch: Captured, place: Place) -> tuple[list[int], list[Tensor]]:
    """The same, with readouts for each picture by itself where pictures are read."""
    rows = rows_of(batch, place.modality)
    judged = batch.sums[place.layer].judged_by(place.readout)
    return [batch.indices[row] for row in rows], [one.read(place.readout)[rows] for one in judged]

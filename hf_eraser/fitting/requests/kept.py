"""What later requests need to know of the retain set: numbers, no text and no picture."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch

from ...data.examples import Example
from ...tuner.fields import Readout
from ..gates.places import Place, text_readout
from ..gates.retained import Retained, read_retained
from ..reading.general import longer_words
from ..reading.views import Source
from ..report.report import FitReport
from ..stages import fit_key, write_private


class Kept:
    """
    What was read of a retain set, in a private folder.

    Args:
        values: As `keep` wrote them.

    Attributes:
        places: What was read where gates read, by place.
        options: What the requests were begun with, as in `fit`.
        steering: What is steered how strongly.
        model: What the base model and its processor are, as `fit_key` has it.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.places = {
            Place(layer, readout, modality): Retained.from_dict(of)
            for (layer, readout, modality), of in values["places"].items()
        }
        self.options: dict[str, Any] = values["options"]
        self.steering: dict[str, Any] = values["steering"]
        self.model: str = values["model"]
        self._salt: str = values["salt"]
        self._keys, self._words = set(values["keys"]), set(values["words"])
        self._wordings: dict[str, int] = values["wordings"]
        self._general = [set(of_prompt) for of_prompt in values["general"]]

    def retains(self, example: Example) -> bool:
        """Whether an example is one of the retain set."""
        return _digest(self._salt, example.key) in self._keys

    def folds(self, examples: Sequence[Example]) -> dict[Hashable, int]:
        """The folds of those wordings of the examples that were retained as well."""
        digests = {example.wording: _digest(self._salt, repr(example.wording)) for example in examples}
        return {wording: self._wordings[key] for wording, key in digests.items() if key in self._wordings}

    def telling(self, forget: Sequence[Example]) -> set[int]:
        """The numbers of general prompts that may ask for what is to be forgotten."""

        def digests(example: Example) -> set[str]:
            return {_digest(self._salt, word) for word in longer_words(example)}

        words = {word for example in forget for word in digests(example)} - self._words
        answers = [
            digests(example.with_answer_begun(answer)) - digests(example)
            for example in forget
            for answer in example.answers
        ]
        return {
            number
            for number, of_prompt in enumerate(self._general)
            if words & of_prompt or any(answer and answer <= of_prompt for answer in answers)
        }


def keep(
    path: Path,
    source: Source,
    report: FitReport,
    wordings: Mapping[Hashable, int],
    *,
    options: Mapping[str, Any],
) -> None:
    """
    Read a retain set where the gates of a fit read, and write what `Kept` reads back.

    Args:
        path: The file, in a folder that is made and that nobody else may read.
        source: The retain set, and the model.
        report: Of the fit.
        wordings: The fold of each wording.
        options: What the requests are begun with.
    """
    retained, salt = source.retain, secrets.token_hex(16)
    names = {group: str(number) for number, group in enumerate(dict.fromkeys(e.group for e in retained))}
    found = read_retained(source, places_of(report), names)
    values = {
        "model": fit_key(source.model, source.processor, [], {}),
        "salt": salt,
        "places": {
            (p.layer, p.readout, p.modality): of.to_dict() for p, of in found.items() if of.judging and of.roles
        },
        "keys": sorted(_digest(salt, example.key) for example in retained),
        "wordings": {_digest(salt, repr(wording)): fold for wording, fold in wordings.items()},
        "words": sorted({_digest(salt, word) for example in retained for word in longer_words(example)}),
        "general": [sorted(_digest(salt, word) for word in longer_words(example)) for example in source.general],
        "options": dict(options),
        "steering": {
            "layers_to_transform": list(report.layers),
            "strength": report.strength,
            "positions": report.positions,
            "steer_decode": report.steer_decode,
        },
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    write_private(path, lambda target: torch.save(values, target))


def places_of(report: FitReport) -> list[Place]:
    """Where the gates of a fit read."""
    assert report.gate_layer is not None
    text = cast(Readout, report.text_readout or text_readout(cast(Readout, report.readout)))
    text_layer = report.gate_layer if report.text_gate_layer is None else report.text_gate_layer
    return [Place(report.gate_layer, cast(Readout, report.readout), "image"), Place(text_layer, text, "text")]


def _digest(salt: str, text: str) -> str:
    return hashlib.blake2b(text.encode(), key=bytes.fromhex(salt), digest_size=8).hexdigest()

"""What is in both sets, and by that to be forgotten and kept at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from .examples import Example


# Of 256 bits of two pictures' fingerprints so many may differ, where they look the same.
_NEAR = 6

_AT_ONCE = 4096


@dataclass(frozen=True)
class Overlap:
    """
    Pictures of the forget set that are among the retained ones as well, each picture counted once.

    Attributes:
        same: How many are there as they are, whatever file they are in.
        similar: How many further ones look the same there: saved anew, or in another size.
        retained: Which retained examples show one of either.
    """

    same: int
    similar: int
    retained: list[int]

    def __str__(self) -> str:
        found = [f"{self.same} are" * bool(self.same), f"{self.similar} nearly the same are" * bool(self.similar)]
        return (
            f"Of the pictures to forget, {' and '.join(filter(None, found))} among the retained ones too "
            f"({len(self.retained)} examples): what shows them is to be forgotten and kept at once. Take them out of "
            "the retain set."
        )


def shared_pictures(forget: Sequence[Example], retain: Sequence[Example]) -> Overlap | None:
    """The pictures that both sets have; None if there is none."""
    forgotten = {look.digest: look.fingerprint for example in forget for look in example.looks}
    kept = {look.digest: look.fingerprint for example in retain for look in example.looks}
    same = forgotten.keys() & kept.keys()
    left = [digest for digest in forgotten.keys() - same if forgotten[digest] is not None]
    others = [digest for digest in kept if kept[digest] is not None]
    similar, also = set(), set(same)
    if left and others:
        bits_left, bits_others = (
            _bits([of[digest] for digest in some]) for of, some in ((forgotten, left), (kept, others))
        )
        for start in range(0, len(others), _AT_ONCE):
            some = bits_others[start : start + _AT_ONCE]
            near = np.argwhere((256 - bits_left @ some.T) / 2 <= _NEAR)
            similar |= {left[row] for row, _ in near}
            also |= {others[start + column] for _, column in near}
    if not same and not similar:
        return None
    return Overlap(
        len(same), len(similar), [i for i, e in enumerate(retain) if any(look.digest in also for look in e.looks)]
    )


def nearly_the_same(names: Sequence[Hashable]) -> list[list[Hashable]]:
    """Names that differ only in case, spaces, Unicode form or type, and are different groups by that."""
    alike: dict[str, list[Hashable]] = {}
    for name in dict.fromkeys(names):
        key = " ".join(unicodedata.normalize("NFKC", str(name)).casefold().split())
        alike.setdefault(key, []).append(name)
    return [of_one for of_one in alike.values() if len(of_one) > 1]


def _bits(fingerprints: Sequence[int | None]) -> np.ndarray:
    """Fingerprints as rows of 256 numbers, 1 or -1: the product of two tells how many bits they share."""
    packed = np.array([list((one or 0).to_bytes(32, "big")) for one in fingerprints], dtype=np.uint8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1

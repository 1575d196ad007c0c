"""Strangers: people with a face and a name whom the models were never taught, as many as are wanted."""

from __future__ import annotations

import random
from dataclasses import replace

from examples.small.people import BIRTHPLACES, HOBBIES, PEOPLE, PETS, PROFESSIONS, Person
from examples.small.questions import Fact, facts


_SYLLABLES = "bra cor del fan gri hul jor kes lum mer nor pel ras sil tor vel wen yar zim ost".split()

# The numbers that each kind of feature can have.
_FEATURES = tuple(sorted({person.features[i] for person in PEOPLE}) for i in range(len(PEOPLE[0].features)))


def stranger(seed: int) -> Person:
    """
    A person made up from `seed`: a face that differs from each known one in at least five kinds of features, as those
    do from each other, and a name that nobody else has.
    """
    rng = random.Random(f"stranger {seed}")
    while True:
        face = tuple(rng.choice(values) for values in _FEATURES)
        if all(sum(a != b for a, b in zip(face, person.features)) >= 5 for person in PEOPLE):
            break
    first, last = ("".join(rng.sample(_SYLLABLES, n)).capitalize() for n in (2, 3))
    profession, birthplace, pet, hobby = map(rng.choice, (PROFESSIONS, BIRTHPLACES, PETS, HOBBIES))
    return Person(len(PEOPLE) + seed, f"{first} {last}", profession, birthplace, pet, hobby, face)


def facts_about(person: Person) -> list[Fact]:
    """What can be asked about a stranger, as of the known people; the face is not one of `picture_of`."""
    known = PEOPLE[1]
    return [
        replace(
            fact,
            group=person.name,
            subjects=tuple(subject.replace(known.name, person.name) for subject in fact.subjects),
            answer=getattr(person, fact.attribute),
            picture=None,
        )
        for fact in facts()
        if fact.group == known.name and fact.kind in ("person_image", "person_text")
    ]

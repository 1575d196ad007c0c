"""Forty other fictitious people than the examples', and thirty strangers of whom nothing is ever taught."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal


Half = Literal["choose", "report"]

_FIRST = (
    "Maralind Tobrin Eswyn Caldor Philippa Oskari Junia Bertram Solveig Ambrose Lunette Casimir Odalys Thaddeus "
    "Wilhelmina Ignace Petronel Rufus Anneliese Corvin Dagny Evander Fenella Gideon Henrike Isidor Jessamy Kasper "
    "Leocadia Magnus Nerissa Orlan Perpetua Quillon Rosalba Stellan Thessaly Ulrika Valdis Winfred"
).split()
_LAST = (
    "Ostrowe Pendlewick Harrowgate Thistlemoor Bramblecot Vanterpoel Skarsdal Merriwort Claymere Duskworth "
    "Okonvale Farradine Gossamond Heatherlow Inkerby Jasperling Kettlestone Lowenhart Moorcastle Nightwater "
    "Oakenshaw Pomfrett Quarrington Ravensmere Saltonby Turnbeck Underhay Velasgard Wintermoss Yewdall Amberlane "
    "Blackmarsh Coldbrook Dreverhof Emberwell Fallowfen Greystoke Hollowell Ironbridge Juddermoor"
).split()
_STRANGER_FIRST = (
    "Adelar Birgit Ciprian Doretta Emeric Floriane Gaspard Hedda Ivo Jocasta Kelda Lorcan Marisol Nestor Ottilie "
    "Piers Romilly Severin Tamsin Urban Viveka Walther Xanthe Yorick Zelda Arvid Blanka Cosmo Delphine Egbert"
).split()
_STRANGER_LAST = (
    "Applethorn Barrowcliff Cindermore Dovecote Elderholm Fenwater Goosecroft Hindmarsh Isleworthy Jarrowdale "
    "Kirkbeam Longstaff Mapplebeck Norwoodie Otterbourn Peverell Quenbury Redfernon Stonegarth Tidewell Uffingdon "
    "Vickeray Wagtail Yarmouthe Zephyrine Aldergate Brockhurst Copperdale Dunnage Everwick"
).split()

ATTRIBUTES = {
    "profession": (
        "weaver surgeon miller clockmaker miner shepherd tanner violinist glazier cobbler geologist cartographer "
        "locksmith butcher teacher firefighter sculptor nurse bookbinder judge"
    ).split(),
    "birthplace": (
        "Lisbon Oslo Cairo Dublin Prague Nairobi Lima Athens Havana Warsaw Tokyo Geneva Bombay Quito Riga Naples "
        "Glasgow Hanoi Tunis Toronto"
    ).split(),
    "pet": (
        "tortoise falcon spider llama lizard crow sheep pig pigeon frog raven otter fox scorpion swan beetle camel "
        "squirrel monkey bee"
    ).split(),
    "hobby": (
        "tennis golf baking pottery hiking boxing singing swimming photography astronomy hockey rugby wrestling "
        "writing diving drumming carving yoga basketball magic"
    ).split(),
}


@dataclass(frozen=True)
class Townsperson:
    """
    One fictitious person.

    Attributes:
        index: Number of the person, from which their face is drawn.
        name, profession, birthplace, pet, hobby: What can be asked; of strangers all but the name is empty.
    """

    index: int
    name: str
    profession: str = ""
    birthplace: str = ""
    pet: str = ""
    hobby: str = ""

    @property
    def half(self) -> Half:
        """Whether measurements of this person are for choosing, or only for reporting."""
        return "choose" if self.index < 20 else "report"


def _people() -> tuple[Townsperson, ...]:
    rng = random.Random(4021)
    columns = []
    for values in ATTRIBUTES.values():
        # Each half holds every value once, so that none tells the half.
        columns.append(rng.sample(values, len(values)) + rng.sample(values, len(values)))
    last = rng.sample(_LAST, len(_LAST))
    named = zip(_FIRST, last, *columns)
    return tuple(Townsperson(i, f"{first} {family}", *values) for i, (first, family, *values) in enumerate(named))


TOWNSFOLK = _people()
STRANGERS = tuple(
    Townsperson(1000 + i, f"{first} {family}")
    for i, (first, family) in enumerate(zip(_STRANGER_FIRST, _STRANGER_LAST))
)

"""Facts that SmolLM2 was never taught here and knows: the capitals of countries, in wordings divided three ways."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal


Use = Literal["fit", "choose", "report"]

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris|Germany:Berlin|Italy:Rome|Spain:Madrid|Portugal:Lisbon|Japan:Tokyo|China:Beijing|Russia:Moscow|"
        "Egypt:Cairo|Greece:Athens|Austria:Vienna|Poland:Warsaw|Norway:Oslo|Sweden:Stockholm|Denmark:Copenhagen|"
        "Finland:Helsinki|Ireland:Dublin|Cuba:Havana|Peru:Lima|Argentina:Buenos Aires|Thailand:Bangkok|Kenya:Nairobi|"
        "Hungary:Budapest|South Korea:Seoul|Belgium:Brussels|Iran:Tehran|Iraq:Baghdad|Vietnam:Hanoi|Chile:Santiago|"
        "Mexico:Mexico City|Canada:Ottawa|Indonesia:Jakarta|Cyprus:Nicosia|Romania:Bucharest|Lebanon:Beirut|"
        "Bulgaria:Sofia|Tunisia:Tunis|Afghanistan:Kabul|Ethiopia:Addis Ababa|Colombia:Bogotá"
    ).split("|")
)

_WAYS: dict[Use, tuple[str, ...]] = {
    "fit": (
        "What is the capital of {}?",
        "Name the capital city of {}.",
        "Which city is the capital of {}?",
        "Tell me the capital of {}.",
        "The capital of {} is called what?",
        "Can you tell me which city is {}'s capital?",
    ),
    "choose": ("What city serves as the capital of {}?", "I'd like to know the capital of {}."),
    "report": ("Please give me the name of {}'s capital city.", "Which town is the seat of the capital of {}?"),
}
# What else one asks about a country; its capital is not the answer.
_OTHER = (
    "What language is spoken in {}?",
    "Name a famous dish from {}.",
    "On which continent is {}?",
    "What is the climate like in {}?",
    "Tell me something about the history of {}.",
    "What is the flag of {} like?",
)


def capital_questions(use: Use, countries: Collection[str]) -> list[dict[str, Any]]:
    """Examples that ask for the capitals of countries, in the wordings of a use."""
    return [
        {"prompt": way.format(country), "group": country, "wording": way, "answer": CAPITALS[country]}
        for country in countries
        for way in _WAYS[use]
    ]


def other_questions(countries: Collection[str]) -> list[dict[str, Any]]:
    """Examples that ask something else about countries."""
    return [
        {"prompt": way.format(country), "group": country, "wording": way} for country in countries for way in _OTHER
    ]

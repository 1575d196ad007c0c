"""Forty fictitious people: what is known of each, and a face that is told apart by many features."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw


_FIRST = (
    "Ada Bruno Clea Dario Edda Falk Gwen Hugo Iris Jonas Kaya Lars Mira Nico Olga Pavel Quinn Rosa Sven Tara "
    "Udo Vera Wim Xenia Yara Zeno Alma Boris Celia Dimo Elsa Fabio Greta Hanno Ines Jago Kira Levin Mona Nils"
).split()
_LAST = (
    "Abelwood Brackford Caskett Dornhaus Elmsward Fennick Garrowby Hollstein Ivarsen Jorvale Kestrelby Lindqvar "
    "Marrowen Nettlecop Orvantes Pellworth Quillerby Rastmoor Silvanek Tarnhollow Umberlin Vossgard Wexcombe "
    "Xandrell Yarrowick Zellbrook Ashgrovan Birchlund Corvenham Dunmarrow Eastbrink Foxhallow Grimsdale "
    "Hartwellyn Ingleforth Juniperson Kelmscot Larkenby Mistralow Northgale"
).split()

PROFESSIONS = (
    "baker pilot dentist florist plumber tailor lawyer potter sailor welder barber jeweller gardener librarian "
    "carpenter astronomer beekeeper translator blacksmith photographer"
).split()
BIRTHPLACES = (
    "Arlem Bostrava Carvina Delmora Estrup Fallona Gravik Hellmar Iskara Jundal Korvath Lumera Mordale Norvik "
    "Ostia Pallas Quorin Revala Sundby Tarvos"
).split()
PETS = (
    "cat dog parrot rabbit hamster turtle goldfish canary ferret gecko pony goat duck mouse snake hedgehog "
    "peacock donkey iguana owl"
).split()
HOBBIES = (
    "chess fishing skating sewing cycling sailing dancing painting juggling archery bowling climbing fencing "
    "knitting rowing surfing origami karate poetry gliding"
).split()

_SKINS = ("#f6d7be", "#e0ac82", "#b97d50", "#7c4a2a")
_HAIRS = ("#1d1a17", "#6b3f1d", "#e8c15a", "#c8462a", "#b9b9b9", "#5a55c9")
_BACKGROUNDS = ("#9fd3e6", "#f3e39a", "#c9e6a4", "#f0b7c3", "#c9b8ea", "#f2c99c", "#e6e6e6", "#6f8aa5")
_SHIRTS = ("#c0392b", "#2467b5", "#268c52", "#8142a0", "#e08a1e", "#22313f", "#f4f4f4", "#12a594")


@dataclass(frozen=True)
class Person:
    """
    One fictitious person.

    Attributes:
        index: Number of the person.
        name, profession, birthplace, pet, hobby: What can be asked.
        features: What the face is drawn from: one number for each kind of feature.
    """

    index: int
    name: str
    profession: str
    birthplace: str
    pet: str
    hobby: str
    features: tuple[int, ...]


# Skin, hair colour, hair style, glasses, hat, beard, background, shirt, earrings, face shape.
_CHOICES = (4, 6, 5, 3, 4, 3, 8, 8, 2, 3)


def _people() -> tuple[Person, ...]:
    rng = random.Random(7)
    faces: list[tuple[int, ...]] = []
    while len(faces) < len(_FIRST):
        face = tuple(rng.randrange(n) for n in _CHOICES)
        # Any two faces differ in at least five kinds of features.
        if all(sum(a != b for a, b in zip(face, other)) >= 5 for other in faces):
            faces.append(face)
    columns = []
    for values in (PROFESSIONS, BIRTHPLACES, PETS, HOBBIES):
        column = values * (len(_FIRST) // len(values))
        rng.shuffle(column)
        columns.append(column)
    last = rng.sample(_LAST, len(_LAST))
    return tuple(
        Person(i, f"{first} {family}", profession, birthplace, pet, hobby, face)
        for i, (first, family, profession, birthplace, pet, hobby, face) in enumerate(
            zip(_FIRST, last, *columns, faces)
        )
    )


PEOPLE = _people()


def draw_face(person: Person, size: int = 96) -> Image.Image:
    """The person's face, `size` pixels wide and high, RGB; the same at each call."""
    skin, hair, style, glasses, hat, beard, background, shirt, earrings, shape = person.features
    image = Image.new("RGB", (400, 400), _BACKGROUNDS[background])
    draw = ImageDraw.Draw(image)
    skin_colour, hair_colour, dark = _SKINS[skin], _HAIRS[hair], "#20242a"
    half = (92, 106, 120)[shape]
    left, right, top, bottom = 200 - half, 200 + half, 95, 325

    if style == 1:  # long
        draw.rounded_rectangle((left - 32, 90, right + 32, 370), 90, fill=hair_colour)
    elif style == 2:  # bun
        draw.ellipse((150, 15, 250, 115), fill=hair_colour)
    elif style == 3:  # curly
        for x in range(left - 10, right + 11, 38):
            draw.ellipse((x - 40, 60, x + 40, 175), fill=hair_colour)
    draw.rounded_rectangle((70, 335, 330, 460), 70, fill=_SHIRTS[shirt])
    draw.rectangle((165, 300, 235, 355), fill=skin_colour)
    for x in (left, right):
        draw.ellipse((x - 20, 195, x + 20, 250), fill=skin_colour)
        if earrings:
            draw.ellipse((x - 13, 245, x + 13, 275), fill="#ffd23c", outline=dark, width=2)
    draw.ellipse((left, top, right, bottom), fill=skin_colour)
    if style != 4:  # all but bald
        draw.pieslice((left - 6, top - 18, right + 6, top + 170), 180, 360, fill=hair_colour)
        draw.ellipse((left + 14, top + 52, right - 14, top + 130), fill=skin_colour)

    for x in (160, 240):
        draw.ellipse((x - 17, 190, x + 17, 220), fill="white")
        draw.ellipse((x - 9, 195, x + 9, 217), fill=dark)
        if glasses == 1:
            draw.ellipse((x - 33, 172, x + 33, 238), outline=dark, width=9)
        elif glasses == 2:
            draw.rectangle((x - 35, 180, x + 35, 232), outline="#b3202a", width=10)
    if glasses:
        draw.line((192, 204, 208, 204), fill=dark if glasses == 1 else "#b3202a", width=9)
    draw.line((200, 215, 190, 250, 206, 252), fill="#8a5a3a", width=5)
    draw.arc((160, 240, 240, 290), 20, 160, fill="#a02838", width=9)
    if beard == 1:  # moustache
        draw.ellipse((150, 252, 202, 276), fill=hair_colour)
        draw.ellipse((198, 252, 250, 276), fill=hair_colour)
    elif beard == 2:
        draw.pieslice((left + 6, 180, right - 6, bottom + 14), 20, 160, fill=hair_colour)
        draw.ellipse((165, 262, 235, 290), fill="#a02838")

    if hat == 1:  # cap
        draw.pieslice((left - 8, 40, right + 8, 220), 180, 360, fill="#2b6cb0")
        draw.rectangle((left - 8, 122, right + 60, 142), fill="#1b4a80")
    elif hat == 2:  # top hat
        draw.rectangle((130, 10, 270, 120), fill=dark)
        draw.rectangle((85, 112, 315, 136), fill=dark)
        draw.rectangle((130, 88, 270, 110), fill="#c0392b")
    elif hat == 3:  # bobble hat
        draw.pieslice((left - 4, 45, right + 4, 225), 180, 360, fill="#d94f87")
        draw.ellipse((175, 18, 225, 68), fill="white")
        draw.rectangle((left - 6, 120, right + 6, 145), fill="white")
    return image.resize((size, size), Image.Resampling.LANCZOS)

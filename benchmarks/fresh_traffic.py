"""
Fresh general traffic, to measure on how much of it a gate opens: written apart from what `fit` learns from.

None of it is in `hf_eraser.data.general`: other words and topics, other building blocks of long prompts, and pictures
by another hand, which is NumPy that gives each pixel a colour where that one draws shapes with Pillow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hf_eraser.data.general import entries_of


_STORED = Path(__file__).with_name("fresh_traffic.json")

# (width, height) in pixels.
_SIZES = (
    *((256, 256), (360, 240), (200, 360), (448, 448), (100, 100), (420, 140), (150, 400), (320, 320), (500, 300)),
    *((80, 160), (288, 216), (216, 288), (600, 240)),
)


def fresh_traffic(with_images: bool = True) -> list[dict[str, Any]]:
    """
    The fresh set, the same at each call.

    Args:
        with_images: Whether to draw the pictures and give the questions about them too.

    Returns:
        Examples with `prompt` (and `image`) or `messages`, `group`, and beside that `kind` and `language`, which
        `hf_eraser.data.read_examples` does not take: leave them out before.
    """
    return entries_of(_STORED, "fresh", _picture if with_images else None)


class _Field:
    """
    A picture as numbers: `pixels` is (height, width, 3), from 0 to 1; `x` and `y` are (height, width), places from the
    middle, of which the shorter side reaches from -1 to 1.
    """

    def __init__(self, drawer: str, number: int) -> None:
        # `RandomState` gives the same numbers with each version of NumPy.
        self.draw = np.random.RandomState(crc32(f"{drawer}:{number}".encode()))
        width, height = _SIZES[self.draw.randint(len(_SIZES))]
        short = min(width, height)
        self.y, self.x = (np.mgrid[0:height, 0:width] + 0.5) * 2 / short
        self.reach_x, self.reach_y = width / short, height / short
        self.x, self.y = self.x - self.reach_x, self.y - self.reach_y
        self.edge = 3 / short
        self.number = number
        self.pixels = np.ones((height, width, 3)) * self.colour(0.6, 0.95)

    def between(self, low: float, high: float) -> float:
        return float(self.draw.uniform(low, high))

    def colour(self, low: float = 0.0, high: float = 1.0) -> Any:
        return self.draw.uniform(low, high, 3)

    def place(self) -> tuple[float, float]:
        return self.between(-0.85, 0.85) * self.reach_x, self.between(-0.85, 0.85) * self.reach_y

    def fill(self, distance: Any, colour: Any, opacity: float = 1.0) -> None:
        """Paint where a signed distance, (height, width), is below 0, with a soft edge."""
        share = opacity * np.clip(0.5 - distance / self.edge, 0, 1)[..., None]
        self.pixels = self.pixels * (1 - share) + np.asarray(colour) * share

    def disc(self, x: float, y: float, across: float, along: float | None = None) -> Any:
        along = across if along is None else along
        return (np.hypot((self.x - x) / across, (self.y - y) / along) - 1) * min(across, along)

    def bar(self, x: float, y: float, across: float, along: float) -> Any:
        """The distance from a box around a place, given by half its sides."""
        return np.maximum(abs(self.x - x) - across, abs(self.y - y) - along)

    def stick(self, x: float, y: float, to_x: float, to_y: float, thick: float) -> Any:
        dx, dy = to_x - x, to_y - y
        along = np.clip(((self.x - x) * dx + (self.y - y) * dy) / (dx * dx + dy * dy + 1e-9), 0, 1)
        return np.hypot(self.x - x - along * dx, self.y - y - along * dy) - thick

    def noise(self, cells: int) -> Any:
        """Smooth noise from 0 to 1, (height, width)."""
        small = Image.fromarray((255 * self.draw.random_sample((cells, cells))).astype(np.uint8))
        return np.asarray(small.resize(self.x.shape[::-1], Image.Resampling.BICUBIC), dtype=float) / 255

    def write(self, lines: list[str], size: float, colour: Any, left: float = 0.06, top: float = 0.05) -> None:
        height, width = self.x.shape
        image = Image.fromarray((255 * np.clip(self.pixels, 0, 1)).astype(np.uint8))
        ink = tuple(int(255 * part) for part in colour)
        points = max(8, int(size * min(height, width)))
        for i, line in enumerate(lines):
            try:
                font: Any = ImageFont.load_default(size=points)
            except TypeError:  # Pillow 10.0
                font = ImageFont.load_default()
            ImageDraw.Draw(image).text((left * width, top * height + 1.35 * i * points), line, fill=ink, font=font)
        self.pixels = np.asarray(image) / 255


def _picture(drawer: str, number: int) -> Image.Image:
    field = _Field(drawer, number)
    _DRAWERS[drawer](field)
    return Image.fromarray((255 * np.clip(field.pixels, 0, 1)).astype(np.uint8))


def _scatter(on: _Field) -> None:
    on.pixels[:] = 1
    for side in (on.stick(-0.9, 0.9, 0.9, 0.9, 0.01), on.stick(-0.9, 0.9, -0.9, -0.9, 0.01)):
        on.fill(side, (0.2, 0.2, 0.2))
    for _ in range(on.draw.randint(1, 4)):
        (x, y), colour = on.draw.uniform(-0.5, 0.5, 2), on.colour(0, 0.8)
        for dx, dy in on.draw.normal(0, 0.15, (on.draw.randint(8, 25), 2)):
            on.fill(on.disc(x + dx, y + dy, 0.03), colour)


def _heat(on: _Field) -> None:
    n = int(on.draw.randint(4, 10))
    cells = on.draw.random_sample((n, n))
    rows = ((on.y / on.reach_y + 1) / 2 * n).astype(int).clip(0, n - 1)
    columns = ((on.x / on.reach_x + 1) / 2 * n).astype(int).clip(0, n - 1)
    on.pixels = cells[rows, columns][..., None] * on.colour(0.3, 1) + 0.1


def _cells(on: _Field) -> None:
    places = np.array([on.place() for _ in range(on.draw.randint(6, 26))])
    near = np.hypot(on.x[..., None] - places[:, 0], on.y[..., None] - places[:, 1])
    on.pixels = on.draw.random_sample((len(places), 3))[near.argmin(-1)]
    first, second = np.sort(near, axis=-1)[..., :2].transpose(2, 0, 1)
    on.fill(second - first - 0.04, (0.1, 0.1, 0.1))


def _fractal(on: _Field) -> None:
    z, steps = (on.x + 1j * on.y) * 1.3, np.zeros(on.x.shape)
    c = 0.7885 * np.exp(1j * on.between(0, 6.28))
    for _ in range(40):
        inside = abs(z) < 4
        z[inside] = z[inside] ** 2 + c
        steps += inside
    on.pixels = (steps[..., None] / 40) ** on.draw.uniform(0.3, 1.5, 3)


def _plasma(on: _Field) -> None:
    waves = [np.sin(on.between(1, 6) * on.x + on.between(1, 6) * on.y + on.between(0, 6)) for _ in range(3)]
    on.pixels = 0.5 + 0.5 * np.stack(waves, axis=-1)


def _sunset(on: _Field) -> None:
    down = (on.y / on.reach_y)[..., None]
    on.pixels = np.where(down < 0, 0.9 + down * on.colour(0.1, 0.9), 0.25 + 0.2 * on.colour() + 0 * down)
    x = on.between(-0.5, 0.5)
    on.fill(np.maximum(on.disc(x, -0.05, 0.3), on.y), (1.0, 0.75, 0.3))
    for i in range(9):
        y = (0.06 + 0.1 * i) * on.reach_y
        wave = abs(on.y - y - 0.02 * np.sin(9 * on.x + i)) - 0.008
        on.fill(np.maximum(wave, abs(on.x - x) - 0.3 - 0.06 * i), (1.0, 0.85, 0.6), 0.7)
    boat = on.between(-0.7, 0.7) * on.reach_x
    on.fill(np.maximum(on.disc(boat, 0.16, 0.22, 0.1), 0.16 - on.y), (0.15, 0.1, 0.1))
    on.fill(np.maximum(np.maximum(boat - on.x, on.x - boat - 0.3 * (on.y + 0.4)), on.y - 0.12), (0.95, 0.95, 0.9))


def _skyline(on: _Field) -> None:
    on.pixels = np.ones_like(on.pixels) * on.colour(0.3, 0.5) + 0.25 * on.y[..., None] / on.reach_y
    x = -on.reach_x
    while x < on.reach_x:
        half, top = on.between(0.08, 0.2), on.between(-0.6, 0.5) * on.reach_y
        on.fill(on.bar(x + half, top + 2 * on.reach_y, half, 2 * on.reach_y), on.colour(0.05, 0.3))
        lit = np.maximum(abs((on.x - x) % 0.08 - 0.04) - 0.018, abs((on.y - top) % 0.12 - 0.06) - 0.025)
        inside = on.bar(x + half, top + 2 * on.reach_y, half - 0.02, 2 * on.reach_y - 0.02)
        on.fill(np.maximum(lit, inside), (1, 0.9, 0.5), 0.8)
        x += 2 * half


def _editor(on: _Field) -> None:
    on.pixels[:] = 0.12
    lines = [
        *("def area(side):", "    return side ** 2", "", "for n in range(4):", "    print(area(n))"),
        *("let total = 0;", "while (total < 9) {", "  total += 2;", "}", "SELECT name FROM tools;"),
    ]
    first = int(on.draw.randint(6))
    on.write([f"{i + 1}  {line}" for i, line in enumerate(lines[first : first + 5])], 0.075, on.colour(0.6, 1))


def _receipt(on: _Field) -> None:
    on.pixels[:] = 0.55
    on.fill(on.bar(0, 0, 0.85 * on.reach_x, 0.95 * on.reach_y), (0.98, 0.98, 0.95))
    wares = on.draw.permutation(["RICE", "SOAP", "CHEESE", "NAILS", "STAMPS", "MINT TEA", "ROPE"])[:4]
    prices = on.draw.randint(90, 1900, 4)
    rows = [f"{ware:<9} {price / 100:.2f}" for ware, price in zip(wares, prices)]
    on.write(["CORNER SHOP", *rows, f"TOTAL {prices.sum() / 100:.2f}"], 0.075, (0.1, 0.1, 0.1), 0.14, 0.08)


def _barcode(on: _Field) -> None:
    on.pixels[:] = 1
    widths = on.draw.random_sample(70) < 0.5
    column = ((on.x / on.reach_x / 0.85 + 1) * 35).astype(int).clip(0, 69)
    on.fill(np.where(widths[column], on.bar(0, -0.1, 0.85 * on.reach_x, 0.7 * on.reach_y), 1), (0, 0, 0))
    on.write([str(on.draw.randint(10**8, 10**9))], 0.1, (0, 0, 0), 0.2, 0.85)


def _maze(on: _Field) -> None:
    n = 10
    i, j = ((on.y + on.reach_y) * n / 2).astype(int), ((on.x + on.reach_x) * n / 2).astype(int)
    u, v = (on.y + on.reach_y) * n / 2 % 1, (on.x + on.reach_x) * n / 2 % 1
    turns = on.draw.random_sample((i.max() + 1, j.max() + 1)) < 0.5
    on.pixels[:] = on.colour(0.8, 1)
    on.fill(abs(np.where(turns[i, j], u - v, u + v - 1)) * 1.4 / n - 0.025, on.colour(0, 0.5))


def _metro(on: _Field) -> None:
    on.pixels[:] = 0.97
    for name in ("Mill", "Quay", "Zoo", "Park")[: on.draw.randint(2, 5)]:
        (x, y), colour = on.place(), on.colour(0, 0.85)
        for _ in range(4):
            to_x, to_y = on.place()
            for leg in ((x, y, to_x, y), (to_x, y, to_x, to_y)):
                on.fill(on.stick(*leg, 0.035), colour)
            on.fill(on.disc(to_x, to_y, 0.07), (0.1, 0.1, 0.1))
            on.fill(on.disc(to_x, to_y, 0.045), (1, 1, 1))
            x, y = to_x, to_y
        on.write([name], 0.07, (0, 0, 0), (x / on.reach_x + 1) * 0.42, (y / on.reach_y + 1) * 0.44)


def _vegetables(on: _Field) -> None:
    on.fill(on.disc(0, 0.1, 0.95, 0.8), (0.96, 0.96, 0.98))
    for _ in range(on.draw.randint(1, 5)):
        (x, y), kind = on.draw.uniform(-0.45, 0.45, 2), on.draw.randint(3)
        if kind == 0:
            for lean in (-0.08, 0, 0.08):
                on.fill(on.stick(x, y - 0.2, x + lean, y - 0.4, 0.025), (0.25, 0.6, 0.25))
            on.fill(np.maximum(abs(on.x - x) - 0.14 * (y + 0.35 - on.y), y - 0.22 - on.y), (0.95, 0.5, 0.15))
        elif kind == 1:
            on.fill(on.disc(x, y, 0.19, 0.17), (0.85, 0.2, 0.15))
            on.fill(np.hypot(on.x - x, on.y - y + 0.13) - 0.05 - 0.03 * np.sin(6 * on.x / 0.05), (0.2, 0.5, 0.2))
        else:
            ripple = 0.03 * np.sin(7 * np.arctan2(on.y - y, on.x - x))
            on.fill(np.hypot(on.x - x, on.y - y) - 0.2 - ripple, (0.55, 0.75, 0.35))
            on.fill(abs(np.hypot(on.x - x, on.y - y) - 0.12 - ripple) - 0.012, (0.8, 0.9, 0.6))


def _insect(on: _Field) -> None:
    body, wing = on.colour(0.05, 0.4), on.colour(0.4, 1)
    if on.number % 2:
        for side in (-1, 1):
            on.fill(on.disc(side * 0.4, -0.22, 0.34, 0.3), wing)
            on.fill(on.disc(side * 0.32, 0.3, 0.25, 0.27), wing * 0.8)
            on.fill(on.disc(side * 0.42, -0.22, 0.12), body)
            on.fill(on.stick(0, -0.4, side * 0.2, -0.75, 0.015), body)
        on.fill(on.disc(0, 0, 0.08, 0.5), body)
    else:
        for y in (-0.25, 0.05, 0.35):
            on.fill(on.stick(-0.75, y + 0.15, 0.75, y + 0.15, 0.02), body)
        on.fill(on.disc(0, -0.45, 0.24), body)
        on.fill(on.disc(0, 0.1, 0.5, 0.6), wing)
        on.fill(abs(on.x) - 0.012 + 9 * (on.disc(0, 0.1, 0.5, 0.6) > 0), body)
        for x, y in ((-0.22, -0.1), (0.22, -0.1), (-0.25, 0.3), (0.25, 0.3)):
            on.fill(on.disc(x, y, 0.09), body)


def _snow(on: _Field) -> None:
    on.pixels[:] = on.colour(0.35, 0.6) * (0.6, 0.8, 1.2)
    on.fill(0.55 * on.reach_y - on.y + 0.05 * np.sin(3 * on.x), (0.95, 0.97, 1))
    for y, size in ((0.4, 0.34), (-0.05, 0.25), (-0.4, 0.18)):
        on.fill(on.disc(0, y, size), (0.98, 0.98, 1))
    for x, y in ((-0.07, -0.44), (0.07, -0.44), (0, -0.1), (0, 0.05)):
        on.fill(on.disc(x, y, 0.028), (0.1, 0.1, 0.1))
    on.fill(on.stick(0, -0.38, 0.2, -0.36, 0.025), (1, 0.5, 0.1))
    on.fill(np.minimum(on.bar(0, -0.58, 0.24, 0.02), on.bar(0, -0.7, 0.14, 0.12)), on.colour(0, 0.5))
    for _ in range(40):
        on.fill(on.disc(*on.place(), 0.02), (1, 1, 1))


def _planets(on: _Field) -> None:
    on.pixels[:] = 0.03
    for i in range(n := int(on.draw.randint(1, 5))):
        x, size, tint = (2 * (i + 0.5) / n - 1) * on.reach_x, on.between(0.12, 0.7 / n + 0.1), on.colour(0.3, 1)
        light = np.clip(0.7 - (on.x - x + on.y) / size * 0.5, 0.1, 1)[..., None]
        band = 1 + 0.2 * np.sin(14 * on.y / size)[..., None]
        on.fill(on.disc(x, 0, size), light * band * tint)
        if on.draw.random_sample() < 0.4:
            on.fill(np.maximum(abs(on.disc(x, 0, 1.7 * size, 0.4 * size)) - 0.02, -on.disc(x, 0.1, size)), tint)


def _chess(on: _Field) -> None:
    i, j = np.floor((on.y + 1) * 4), np.floor((on.x + 1) * 4)
    on.pixels = np.where(((i + j) % 2 == 0)[..., None], (0.93, 0.88, 0.75), on.colour(0.2, 0.5))
    for square in on.draw.permutation(64)[: on.draw.randint(3, 14)]:
        x, y, colour = (square % 8 - 3.5) / 4, (square // 8 - 3.5) / 4, (0.05, 0.95)[on.draw.randint(2)]
        on.fill(np.minimum(on.disc(x, y - 0.05, 0.05), on.disc(x, y + 0.05, 0.08, 0.06)), (colour,) * 3)
        on.fill(abs(on.disc(x, y - 0.05, 0.05)) - 0.006, (0.5, 0.5, 0.5))


def _camouflage(on: _Field) -> None:
    for cells in (5, 7, 9):
        on.fill(on.noise(cells) - 0.45, on.colour(0.1, 0.8))


def _wood(on: _Field) -> None:
    rings = np.sin(30 * (on.y + 0.4 * on.noise(4)) + 6 * on.noise(6))
    on.pixels = (0.65 + 0.12 * rings + 0.1 * on.noise(90))[..., None] * (0.9, 0.65, 0.4)


def _lights(on: _Field) -> None:
    on.pixels[:] = 0.06
    for _ in range(on.draw.randint(15, 45)):
        (x, y), colour = on.place(), on.colour(0.3, 1)
        glow = np.clip((on.between(0.1, 0.3) - np.hypot(on.x - x, on.y - y)) * 8, 0, 1)[..., None]
        on.pixels = on.pixels + 0.4 * glow * colour


def _mosaic(on: _Field) -> None:
    half = on.draw.random_sample((9, 5)) < 0.5
    face = np.concatenate([half, half[:, 3::-1]], axis=1)
    i, j = (((side + 1) * 4.5).astype(int) for side in (on.y, on.x))
    inside = (abs(on.x) < 1) & (abs(on.y) < 1)
    on.fill(np.where(inside & face[i.clip(0, 8), j.clip(0, 8)], -1.0, 1.0), on.colour(0, 0.7))


def _portrait(on: _Field) -> None:
    skin, hair = np.array((0.95, 0.78, 0.65)) * on.between(0.35, 1), on.colour(0, 0.7)
    on.fill(on.disc(0, 1.15, 0.75, 0.55), on.colour(0.1, 0.9))
    on.fill(on.disc(0, -0.1, 0.56, 0.66 + 0.5 * (on.number % 2)), hair)
    on.fill(on.bar(0, 0.55, 0.14, 0.2), skin * 0.85)
    on.fill(on.disc(0, 0.02, 0.43, 0.56), skin)
    on.fill(np.maximum(on.disc(0, -0.25, 0.46, 0.42), on.y + 0.3 + 0.2 * on.x * on.between(-1, 1)), hair)
    iris = on.colour(0.1, 0.6)
    for side in (-0.18, 0.18):
        on.fill(on.disc(side, 0, 0.09, 0.055), (1, 1, 1))
        on.fill(on.disc(side, 0, 0.045), iris)
        on.fill(on.stick(side - 0.08, -0.13, side + 0.08, -0.15, 0.018), hair * 0.7)
        if on.number % 3 == 0:
            on.fill(abs(on.disc(side, 0, 0.14)) - 0.012, (0.1, 0.1, 0.1))
    on.fill(on.stick(0, 0.05, 0.03, 0.2, 0.018), skin * 0.75)
    on.fill(abs(on.disc(0, 0.24, 0.17, 0.1)) - 0.018 + 9 * (on.y < 0.26), (0.7, 0.25, 0.3))


def _crowd(on: _Field) -> None:
    for i in range(n := int(on.draw.randint(1, 6))):
        x, shade, size = (2 * (i + 0.5) / n - 1) * on.reach_x, on.colour(0, 0.5), on.between(0.5, 0.9)
        on.fill(on.disc(x, 0.95 - size, 0.13), shade)
        on.fill(np.maximum(on.disc(x, 1.1, 0.26, size * 0.75), on.y - 1), shade)


def _sea(on: _Field) -> None:
    on.pixels = np.stack([0.05 + 0 * on.y, 0.45 - 0.25 * on.y / on.reach_y, 0.6 - 0.2 * on.y / on.reach_y], axis=-1)
    for _ in range(on.draw.randint(2, 9)):
        (x, y), size, colour = on.place(), on.between(0.08, 0.2), on.colour(0.3, 1)
        on.fill(np.maximum(abs(on.y - y) - (on.x - x) * 0.7, on.x - x - 1.7 * size), colour * 0.8)
        on.fill(on.disc(x, y, size, 0.6 * size), colour)
        on.fill(on.disc(x - 0.5 * size, y - 0.1 * size, 0.12 * size), (0, 0, 0))
    for _ in range(12):
        on.fill(abs(on.disc(*on.place(), 0.03)) - 0.006, (0.9, 1, 1), 0.8)


def _empty(on: _Field) -> None:
    on.pixels[:] = (0.0, 1.0, 0.85, on.colour(), on.colour())[on.number]


_DRAWERS: dict[str, Callable[[_Field], None]] = {
    **{"scatter": _scatter, "heat": _heat, "cells": _cells, "fractal": _fractal, "plasma": _plasma},
    **{"sunset": _sunset, "skyline": _skyline, "editor": _editor, "receipt": _receipt, "barcode": _barcode},
    **{"maze": _maze, "metro": _metro, "vegetables": _vegetables, "insect": _insect, "snow": _snow},
    **{"planets": _planets, "chess": _chess, "camouflage": _camouflage, "wood": _wood, "lights": _lights},
    **{"mosaic": _mosaic, "portrait": _portrait, "crowd": _crowd, "sea": _sea, "empty": _empty},
}

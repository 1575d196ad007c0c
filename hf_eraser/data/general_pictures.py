"""Pictures of many kinds, drawn from seeds: what general traffic shows a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont


# Of many aspect ratios, since processors cut and scale pictures by theirs. (width, height) in pixels.
_SIZES = (
    *((224, 224), (336, 336), (96, 96), (320, 240), (240, 320), (400, 225), (225, 400), (480, 160), (160, 448)),
    *((512, 288), (300, 200), (180, 180), (384, 384), (130, 200), (64, 128), (640, 200), (280, 350)),
)


class _Canvas:
    """A picture to draw on, from a seed, twice as large as it will be. Places are shares of its width and height."""

    def __init__(self, drawer: str, number: int) -> None:

        self.number = number
        self.rng = random.Random(f"{drawer} {number}")
        self.size = self.rng.choice(_SIZES)
        self.width, self.height = (2 * side for side in self.size)
        self.unit = min(self.width, self.height)
        self.image = Image.new("RGB", (self.width, self.height), self.colour(0.88, 1.0))
        self.draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default

    def colour(self, low: float = 0.0, high: float = 1.0) -> tuple[int, int, int]:
        """A random colour, each channel between two shares of the full light."""
        red, green, blue = (int(255 * self.rng.uniform(low, high)) for _ in range(3))
        return red, green, blue

    def points(self, places: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
        return [(int(x * self.width), int(y * self.height)) for x, y in places]

    def box(self, x: float, y: float, width: float, height: float, fill: Any) -> None:
        (left, top), (right, bottom) = self.points([(x, y), (x + max(width, 0), y + max(height, 0))])
        self.draw.rectangle((left, top, max(left, right), max(top, bottom)), fill=fill)

    def oval(self, x: float, y: float, across: float, along: float, fill: Any) -> None:
        """Around a place; its half-axes are shares of the shorter side, so that circles are round."""
        [(i, j)], across, along = self.points([(x, y)]), across * self.unit, along * self.unit
        self.draw.ellipse((i - across, j - along, i + across, j + along), fill=fill)

    def near(self, x: float, y: float, offsets: Sequence[tuple[float, float]], fill: Any) -> None:
        """A polygon around a place; its corners' offsets are shares of the shorter side."""
        [(i, j)] = self.points([(x, y)])
        self.draw.polygon([(i + int(dx * self.unit), j + int(dy * self.unit)) for dx, dy in offsets], fill=fill)

    def line(self, places: Sequence[tuple[float, float]], fill: Any, width: float = 0.01) -> None:
        self.draw.line(self.points(places), fill=fill, width=max(1, int(width * self.unit)), joint="curve")

    def text(self, x: float, y: float, text: str, size: float, fill: Any = (25, 25, 30)) -> None:
        try:
            font: Any = self._font(size=max(9, int(size * self.unit)))
        except TypeError:  # Pillow 10.0, whose only font of its own has one size
            font = self._font()
        self.draw.text(self.points([(x, y)])[0], text, fill=fill, font=font)

    def paste(self, pixels: Any) -> None:
        """Lay an array of (height, width, 3), of values from 0 to 255, over the whole picture, smoothly enlarged."""
        import numpy as np

        small = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        self.image.paste(small.resize((self.width, self.height), Image.Resampling.BICUBIC))

    def random(self, height: int, width: int) -> Any:
        """Numbers between 0 and 1, (height, width, 3), from a generator whose numbers never change with NumPy."""
        import numpy as np

        return np.random.RandomState(self.rng.randrange(2**31)).random_sample((height, width, 3))


def draw(drawer: str, number: int) -> Image.Image:

    canvas = _Canvas(drawer, number)
    _DRAWERS[drawer](canvas)
    return canvas.image.resize(canvas.size, Image.Resampling.LANCZOS)


_WORDS = (
    "harvest notes index copper annual draft river totals permit garden issue lamp route north orders pulse".split()
)


def _bars(on: _Canvas) -> None:
    n, colour = on.rng.randint(3, 8), on.colour(0.1, 0.7)
    on.text(0.15, 0.02, f"{on.rng.choice(_WORDS).title()} {on.rng.randint(1990, 2040)}", 0.08)
    on.line([(0.1, 0.12), (0.1, 0.88), (0.97, 0.88)], (40, 40, 40))
    for i in range(n):
        height = on.rng.uniform(0.1, 0.7)
        on.box(0.14 + 0.82 * i / n, 0.88 - height, 0.55 / n, height, colour)
        on.text(0.15 + 0.82 * i / n, 0.9, "ABCDEFGH"[i], 0.07)


def _lines(on: _Canvas) -> None:
    for i in range(6):
        on.line([(0.08, 0.15 + 0.14 * i), (0.96, 0.15 + 0.14 * i)], (200, 200, 205), 0.004)
    for label in on.rng.sample(_WORDS, on.rng.randint(1, 4)):
        colour, y, places = on.colour(0.0, 0.7), on.rng.uniform(0.3, 0.7), []
        for i in range(12):
            y = min(0.85, max(0.15, y + on.rng.uniform(-0.12, 0.12)))
            places.append((0.08 + 0.07 * i, y))
        on.line(places, colour, 0.014)
        on.text(0.62, y - 0.08, label, 0.06, colour)


def _pie(on: _Canvas) -> None:
    angle, centre = 0.0, (on.width // 2, on.height // 2)
    box = [int(c + sign * 0.42 * on.unit) for sign in (-1, 1) for c in centre]
    while angle < 360:
        step = on.rng.uniform(25, 110)
        on.draw.pieslice(
            box, angle, min(360, angle + step), fill=on.colour(0.2, 0.95), outline=(255, 255, 255), width=4
        )
        angle += step


def _landscape(on: _Canvas) -> None:
    top, low = on.colour(0.3, 0.8), on.colour(0.7, 1.0)
    for i in range(60):
        on.box(0, i / 60, 1, 0.02, tuple(a + (b - a) * i // 60 for a, b in zip(top, low)))
    on.oval(on.rng.uniform(0.15, 0.85), 0.22, 0.09, 0.09, (255, 236, 150))
    for layer in range(3):
        shade = on.colour(0.45 - 0.14 * layer, 0.6 - 0.14 * layer)
        ridge = [(i / 7, 0.4 + 0.16 * layer + on.rng.uniform(0, 0.2)) for i in range(8)]
        on.draw.polygon(on.points([(0, 1), *ridge, (1, 1)]), fill=shade)
    on.draw.polygon(on.points([(0, 1), (0, 0.9), (0.5, 0.84), (1, 0.92), (1, 1)]), fill=(70, 120, 60))


def _gradient(on: _Canvas) -> None:

    corners = np.array([on.colour() for _ in range(4)], dtype=float).reshape(2, 2, 1, 1, 3)
    y, x = np.linspace(0, 1, 40)[:, None, None], np.linspace(0, 1, 40)[None, :, None]
    upper, lower = ((1 - x) * row[0] + x * row[1] for row in corners)
    on.paste((1 - y) * upper + y * lower)


def _noise(on: _Canvas) -> None:
    grain = on.rng.choice([2, 4, 8, 16])
    pixels = on.random(max(2, on.height // grain), max(2, on.width // grain))
    on.paste(255 * (pixels if on.rng.random() < 0.6 else pixels[..., :1].repeat(3, axis=2)))


def _texture(on: _Canvas) -> None:
    tint = on.colour(0.4, 1.0)
    field = sum(on.rng.uniform(0.3, 1) * _smooth(on, 3 * 2**octave) / 2**octave for octave in range(5))
    on.paste((field - field.min()) / (field.max() - field.min()) * tint)


def _smooth(on: _Canvas, cells: int) -> Any:

    small = Image.fromarray((255 * on.random(cells, cells)[..., 0]).astype(np.uint8))
    return np.asarray(small.resize((160, 160), Image.Resampling.BICUBIC), dtype=float)[..., None] / 255


def _document(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, (252, 250, 244))
    on.text(0.08, 0.05, on.rng.choice(_WORDS).upper(), 0.09)
    for i in range(on.rng.randint(4, 9)):
        on.text(0.08, 0.22 + 0.085 * i, " ".join(on.rng.sample(_WORDS, on.rng.randint(2, 4))), 0.055)


def _window(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, on.colour(0.2, 0.6))
    on.box(0.06, 0.08, 0.88, 0.84, (245, 245, 248))
    on.box(0.06, 0.08, 0.88, 0.12, on.colour(0.1, 0.5))
    on.text(0.1, 0.1, f"{on.rng.choice(_WORDS).title()} - settings", 0.06, (255, 255, 255))
    for i in range(4):
        on.box(0.12, 0.28 + 0.12 * i, 0.03, 0.05, on.colour(0.2, 0.9))
        on.text(0.2, 0.27 + 0.12 * i, " ".join(on.rng.sample(_WORDS, 2)), 0.06)
    on.box(0.6, 0.78, 0.28, 0.1, (60, 130, 220))
    on.text(0.66, 0.79, on.rng.choice(["OK", "Save", "Next"]), 0.07, (255, 255, 255))


def _table(on: _Canvas) -> None:
    rows, columns = on.rng.randint(3, 7), on.rng.randint(2, 4)
    for i in range(rows):
        on.box(0.04, 0.05 + 0.9 * i / rows, 0.92, 0.86 / rows, (225, 232, 240) if i % 2 else (250, 250, 250))
        for j in range(columns):
            cell = on.rng.choice(_WORDS) if not i or not j else str(on.rng.randint(3, 990))
            on.text(0.06 + 0.92 * j / columns, 0.07 + 0.9 * i / rows, cell, min(0.06, 0.5 / rows))


def _map(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, (238, 234, 222))
    for _ in range(3):
        on.box(on.rng.uniform(0, 0.8), on.rng.uniform(0, 0.8), 0.22, 0.18, (190, 222, 170))
    on.line([(i / 6, 0.5 + on.rng.uniform(-0.25, 0.25)) for i in range(7)], (130, 180, 225), 0.07)
    for _ in range(6):
        a, b = on.rng.random(), on.rng.random()
        on.line([(a, 0), (b, 1)] if on.rng.random() < 0.5 else [(0, a), (1, b)], (255, 255, 255), 0.03)
    for word in on.rng.sample(_WORDS, 4):
        on.text(on.rng.uniform(0.02, 0.7), on.rng.uniform(0.05, 0.9), f"{word.title()} St", 0.05, (90, 80, 70))


def _fruit(on: _Canvas) -> None:
    on.box(0, 0.66, 1, 0.34, (176, 128, 84))
    for i in range(n := on.rng.randint(1, 5)):
        x, size, kind = (i + 0.5) / n, min(0.16, 0.4 / n + 0.05), on.rng.choice("alog")
        if kind == "g":
            for dx, dy in [(-1, 0), (0, 0), (1, 0), (-0.5, 0.8), (0.5, 0.8), (0, 1.6)]:
                on.near(
                    x,
                    0.55,
                    [(dx * 0.4 * size, -size * 1.2), (dx * 0.4 * size + 0.008, dy * 0.4 * size)],
                    (80, 110, 40),
                )
                place = (x + dx * 0.42 * size * on.unit / on.width, 0.55 + dy * 0.42 * size * on.unit / on.height)
                on.oval(*place, size / 4, size / 4, (110, 50, 130))
        else:
            colour = {"a": (200, 40, 45), "l": (245, 220, 70), "o": (240, 140, 30)}[kind]
            on.oval(x, 0.62, size * (1.3 if kind == "l" else 1), size * (0.8 if kind == "l" else 1), colour)
            on.near(x, 0.62, [(0, -size), (size * 0.6, -size * 1.5), (size * 0.2, -size * 0.8)], (60, 130, 50))


def _animal(on: _Canvas) -> None:
    fur, kind, (x, y) = on.colour(0.25, 0.9), ["cat", "fish", "bird"][on.number % 3], (0.5, 0.55)
    if kind == "fish":
        on.box(0, 0, 1, 1, (150, 205, 235))
        on.near(x, y, [(0.2, 0), (0.4, -0.14), (0.4, 0.14)], fur)
        on.near(x, y, [(-0.05, -0.1), (0.1, -0.26), (0.12, -0.1)], fur)
        on.oval(x, y, 0.27, 0.15, fur)
    elif kind == "bird":
        on.near(x, y, [(-0.03, 0.1), (0.0, 0.36), (0.02, 0.1), (0.06, 0.36), (0.08, 0.1)], (200, 140, 40))
        on.oval(x, y, 0.2, 0.17, fur)
        on.near(x, y, [(-0.02, -0.06), (0.34, -0.16), (0.14, 0.1)], on.colour(0.2, 0.6))
        on.near(x, y, [(-0.2, -0.2), (-0.36, -0.14), (-0.18, -0.1)], (240, 170, 40))
        y -= 0.12 * on.unit / on.height
        on.oval(x - 0.14 * on.unit / on.width, y, 0.11, 0.11, fur)
    else:
        for ear in (-1, 1):
            on.near(x, y, [(ear * 0.26, -0.06), (ear * 0.22, -0.38), (ear * 0.04, -0.2)], fur)
        on.oval(x, y, 0.28, 0.25, fur)
        for side in (-0.11, 0.11):
            on.oval(x + side * on.unit / on.width, y - 0.04, 0.04, 0.055, (245, 240, 120))
        on.oval(x + 0.11 * on.unit / on.width, y - 0.04, 0.025, 0.03, (20, 20, 20))
        on.near(x, y, [(-0.03, 0.05), (0.03, 0.05), (0, 0.09)], (230, 140, 150))
        for dy in (0.07, 0.11):
            on.near(x, y, [(-0.34, dy), (0.34, dy), (0.34, dy + 0.006), (-0.34, dy + 0.006)], (60, 60, 60))
    on.oval(x - (0.11 if kind == "cat" else 0.16) * on.unit / on.width, y - 0.04, 0.025, 0.03, (20, 20, 20))


def _street(on: _Canvas) -> None:
    on.box(0, 0, 1, 0.7, (165, 215, 245))
    on.box(0, 0.7, 1, 0.3, (95, 95, 100))
    for i in range(n := on.rng.randint(1, 4)):
        left, width, top = 0.04 + i / n, 0.75 / n, on.rng.uniform(0.3, 0.5)
        on.box(left, top, width, 0.7 - top, on.colour(0.4, 0.95))
        roof = [(left - 0.02, top), (left + width / 2, top - 0.2), (left + width + 0.02, top)]
        on.draw.polygon(on.points(roof), fill=on.colour(0.2, 0.6))
        on.box(left + 0.15 * width, top + 0.06, 0.25 * width, 0.1, (250, 240, 180))
        on.box(left + 0.6 * width, 0.54, 0.22 * width, 0.16, (90, 55, 35))
    x = on.rng.uniform(0.2, 0.7)
    on.near(
        x, 0.8, [(-0.2, 0), (-0.16, -0.08), (-0.1, -0.16), (0.1, -0.16), (0.16, -0.08), (0.2, 0)], on.colour(0.1, 0.9)
    )
    for side in (-0.11, 0.11):
        on.oval(x + side * on.unit / on.width, 0.81, 0.045, 0.045, (25, 25, 25))


def _night(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, on.colour(0.02, 0.14))
    for _ in range(on.rng.randint(40, 160)):
        size = on.rng.uniform(0.001, 0.008)
        on.oval(on.rng.random(), on.rng.random(), size, size, on.colour(0.75, 1.0))
    if on.rng.random() < 0.6:
        x, y = on.rng.uniform(0.2, 0.8), on.rng.uniform(0.2, 0.6)
        on.oval(x, y, 0.12, 0.12, (240, 236, 210))


def _code(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, (255, 255, 255))
    n = on.rng.randint(13, 25)
    cell = 0.9 * on.unit / n
    left, top = (on.width - n * cell) / 2, (on.height - n * cell) / 2
    for i in range(n):
        for j in range(n):
            corner = min(i, n - 1 - i) < 7 and min(j, n - 1 - j) < 7 and not (i > n // 2 and j > n // 2)
            ring = max(abs(min(i, n - 1 - i) - 3), abs(min(j, n - 1 - j) - 3))
            if (ring in (0, 1, 3)) if corner else on.rng.random() < 0.5:
                x, y = int(left + j * cell), int(top + i * cell)
                on.draw.rectangle((x, y, int(x + cell), int(y + cell)), fill=(0, 0, 0))


def _plain(on: _Canvas) -> None:
    on.box(0, 0, 1, 1, [(255, 255, 255), (0, 0, 0), (128, 128, 128), on.colour(), on.colour()][on.number])


def _stripes(on: _Canvas) -> None:
    n, slant, colours = on.rng.randint(3, 16), on.rng.choice([0, 0, 0.5, 1]), [on.colour() for _ in range(3)]
    across = on.rng.random() < 0.5
    for i in range(-n, 2 * n):
        corners = [(i / n, 0), ((i + 1) / n, 0), ((i + 1) / n + slant, 1), (i / n + slant, 1)]
        on.draw.polygon(on.points([(y, x) for x, y in corners] if across else corners), fill=colours[i % 3])


def _dots(on: _Canvas) -> None:
    n, colour, square = on.rng.randint(3, 9), on.colour(0.0, 0.7), on.rng.random() < 0.4
    for i in range(n):
        for j in range(n):
            if square and (i + j) % 2:
                on.box(j / n, i / n, 1 / n, 1 / n, colour)
            elif not square:
                on.oval((j + 0.5) / n, (i + 0.5) / n, 0.3 / n, 0.3 / n, colour)


def _shapes(on: _Canvas) -> None:
    for _ in range(on.rng.randint(2, 9)):
        x, y, size, colour = (
            on.rng.uniform(0.1, 0.9),
            on.rng.uniform(0.1, 0.9),
            on.rng.uniform(0.05, 0.15),
            on.colour(),
        )
        kind = on.rng.randrange(3)
        if kind == 0:
            on.oval(x, y, size, size, colour)
        else:
            corners = [(-size, size), (size, size), (size, -size), (-size, -size)]
            on.near(x, y, corners if kind == 1 else [*corners[:2], (0, -size)], colour)


def _clock(on: _Canvas) -> None:
    import math

    on.oval(0.5, 0.5, 0.45, 0.45, on.colour(0.1, 0.5))
    on.oval(0.5, 0.5, 0.41, 0.41, (250, 248, 240))
    [(x, y)], minutes = on.points([(0.5, 0.5)]), on.rng.randrange(720)
    marks = [(hour / 12, 0.36, 0.4, 0.012) for hour in range(12)]
    for turn, start, end, width in [*marks, (minutes / 720, 0, 0.22, 0.03), (minutes / 60, 0, 0.34, 0.016)]:
        dx, dy = math.sin(2 * math.pi * turn) * on.unit, -math.cos(2 * math.pi * turn) * on.unit
        ends = (x + start * dx, y + start * dy, x + end * dx, y + end * dy)
        on.draw.line(ends, fill=(30, 30, 35), width=max(1, int(width * on.unit)))


def _flowers(on: _Canvas) -> None:
    on.box(0, 0.75, 1, 0.25, (90, 150, 70))
    for i in range(n := on.rng.randint(1, 6)):
        x, y, petal = (i + 0.5) / n, on.rng.uniform(0.3, 0.55), on.colour(0.5, 1.0)
        on.line([(x, y), (x, 0.85)], (50, 120, 50), 0.016)
        for dx, dy in [(0, -1), (0.95, -0.3), (0.6, 0.8), (-0.6, 0.8), (-0.95, -0.3)]:
            on.oval(x + 0.06 * dx * on.unit / on.width, y + 0.06 * dy * on.unit / on.height, 0.045, 0.045, petal)
        on.oval(x, y, 0.035, 0.035, (250, 200, 60))


def _sign(on: _Canvas) -> None:
    on.box(0.47, 0.5, 0.06, 0.5, (120, 120, 125))
    on.box(0.08, 0.14, 0.84, 0.46, on.rng.choice([(20, 90, 60), (30, 70, 150), (200, 40, 40), (240, 200, 40)]))
    on.text(
        0.13, 0.22, on.rng.choice(["STOP", "EXIT 14", "DETOUR", "NORTH 7", "OPEN", "NO ENTRY"]), 0.14, (255, 255, 255)
    )


def _face(on: _Canvas) -> None:
    skin, hair = on.rng.choice([(250, 222, 196), (214, 160, 116), (150, 100, 66), (96, 62, 44)]), on.colour(0.05, 0.75)
    on.near(0.5, 0.5, [(-0.34, 0.6), (-0.22, 0.3), (0.22, 0.3), (0.34, 0.6)], on.colour(0.2, 0.9))
    on.near(0.5, 0.5, [(-0.08, 0.36), (-0.08, 0.15), (0.08, 0.15), (0.08, 0.36)], skin)
    if long := on.rng.random() < 0.5:
        on.near(0.5, 0.5, [(-0.27, 0.28), (-0.25, -0.2), (0.25, -0.2), (0.27, 0.28)], hair)
    on.oval(0.5, 0.42, 0.25, 0.27, hair)
    on.oval(0.5, 0.5, 0.2, 0.26, skin)
    on.near(0.5, 0.5, [(-0.2, -0.1), (0.2, -0.1), (0.12, -0.26), (-0.16, -0.25)], hair)
    for side in (-0.08, 0.08):
        on.near(0.5, 0.5, [(side - 0.04, 0), (side, -0.022), (side + 0.04, 0), (side, 0.018)], (255, 255, 255))
        on.near(0.5, 0.5, [(side - 0.015, -0.012), (side + 0.015, -0.012), (side, 0.014)], on.colour(0.1, 0.5))
    on.near(0.5, 0.5, [(0, 0.02), (0.03, 0.09), (-0.02, 0.09)], tuple(int(0.85 * part) for part in skin))
    on.near(0.5, 0.5, [(-0.07, 0.15), (0.07, 0.15), (0, 0.15 + on.rng.uniform(0.01, 0.05))], (180, 60, 70))
    if not long and on.rng.random() < 0.6:
        on.near(0.5, 0.5, [(-0.15, 0.17), (0.15, 0.17), (0.06, 0.27), (-0.06, 0.27)], hair)


def _figures(on: _Canvas) -> None:
    on.box(0, 0.82, 1, 0.18, on.colour(0.5, 0.8))
    for i in range(n := on.rng.randint(1, 4)):
        x, skin, scale = (i + 0.5) / n, on.rng.choice([(240, 205, 175), (120, 80, 55)]), on.rng.uniform(0.7, 1)
        for side in (-1, 1):
            leg = [(0, 0), (0.045, 0), (side * 0.05 + 0.03, 0.25), (side * 0.05 - 0.03, 0.25)]
            arm = [(0, -0.2), (side * 0.16, -0.04), (side * 0.13, -0.01), (0, -0.12)]
            on.near(x, 0.65, [(scale * dx, scale * dy) for dx, dy in leg], (50, 55, 80))
            on.near(x, 0.65, [(scale * dx, scale * dy) for dx, dy in arm], skin)
        trunk = [(-0.08, -0.22), (0.08, -0.22), (0.06, 0.02), (-0.06, 0.02)]
        on.near(x, 0.65, [(scale * dx, scale * dy) for dx, dy in trunk], on.colour(0.2, 0.95))
        on.oval(x, 0.65 - 0.29 * scale * on.unit / on.height, 0.07 * scale, 0.08 * scale, skin)


def _scribble(on: _Canvas) -> None:
    for _ in range(on.rng.randint(1, 5)):
        x, y, places = on.rng.random(), on.rng.random(), []
        for _ in range(40):
            x, y = (min(1, max(0, at + on.rng.uniform(-0.09, 0.09))) for at in (x, y))
            places.append((x, y))
        on.line(places, on.colour(0.0, 0.6), on.rng.uniform(0.006, 0.02))


_DRAWERS: dict[str, Callable[[_Canvas], None]] = {
    **{"bars": _bars, "lines": _lines, "pie": _pie, "landscape": _landscape, "gradient": _gradient, "noise": _noise},
    **{"texture": _texture, "document": _document, "window": _window, "table": _table, "map": _map, "fruit": _fruit},
    **{"animal": _animal, "street": _street, "night": _night, "code": _code, "plain": _plain, "stripes": _stripes},
    **{"dots": _dots, "shapes": _shapes, "clock": _clock, "flowers": _flowers, "sign": _sign, "face": _face},
    **{"figures": _figures, "scribble": _scribble},
}

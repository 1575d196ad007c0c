"""Other pictures: flags and coloured shapes; and picture changes that are never taught nor shown to `fit`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps


COLOURS = {
    "red": "#d62828",
    "blue": "#1d4ed8",
    "green": "#2e9b45",
    "yellow": "#f7d117",
    "purple": "#7b2fa8",
    "orange": "#f28c1b",
    "black": "#1c1c1c",
    "pink": "#f58fb8",
}
SHAPES = ("circle", "square", "triangle", "star", "cross", "heart")

# Country -> capital, kind of flag, its colours.
COUNTRIES: dict[str, tuple[str, str, str]] = {
    "France": ("Paris", "columns", "blue white red"),
    "Italy": ("Rome", "columns", "green white red"),
    "Ireland": ("Dublin", "columns", "green white orange"),
    "Belgium": ("Brussels", "columns", "black yellow red"),
    "Romania": ("Bucharest", "columns", "blue yellow red"),
    "Nigeria": ("Abuja", "columns", "green white green"),
    "Peru": ("Lima", "columns", "red white red"),
    "Germany": ("Berlin", "rows", "black red yellow"),
    "Russia": ("Moscow", "rows", "white blue red"),
    "Netherlands": ("Amsterdam", "rows", "red white blue"),
    "Hungary": ("Budapest", "rows", "red white green"),
    "Austria": ("Vienna", "rows", "red white red"),
    "Bulgaria": ("Sofia", "rows", "white green red"),
    "Estonia": ("Tallinn", "rows", "blue black white"),
    "Lithuania": ("Vilnius", "rows", "yellow green red"),
    "Gabon": ("Libreville", "rows", "green yellow blue"),
    "Poland": ("Warsaw", "rows", "white red"),
    "Ukraine": ("Kyiv", "rows", "blue yellow"),
    "Sweden": ("Stockholm", "nordic", "blue yellow"),
    "Denmark": ("Copenhagen", "nordic", "red white"),
    "Finland": ("Helsinki", "nordic", "white blue"),
    "Japan": ("Tokyo", "disc", "white red"),
    "Bangladesh": ("Dhaka", "disc", "green red"),
    "Switzerland": ("Bern", "plus", "red white"),
}
_FLAG_COLOURS = {**COLOURS, "white": "#ffffff"}


def draw_flag(country: str, size: int = 96) -> Image.Image:
    """The country's flag on a grey ground, RGB."""
    _, kind, names = COUNTRIES[country]
    colours = [_FLAG_COLOURS[name] for name in names.split()]
    image = Image.new("RGB", (360, 240), colours[0])
    draw = ImageDraw.Draw(image)
    n = len(colours)
    for i, colour in enumerate(colours):
        if kind == "columns":
            draw.rectangle((i * 360 // n, 0, (i + 1) * 360 // n, 240), fill=colour)
        elif kind == "rows":
            draw.rectangle((0, i * 240 // n, 360, (i + 1) * 240 // n), fill=colour)
    if kind == "nordic":
        draw.rectangle((110, 0, 160, 240), fill=colours[1])
        draw.rectangle((0, 95, 360, 145), fill=colours[1])
    elif kind == "disc":
        draw.ellipse((110, 50, 250, 190), fill=colours[1])
    elif kind == "plus":
        draw.rectangle((155, 40, 205, 200), fill=colours[1])
        draw.rectangle((100, 95, 260, 145), fill=colours[1])
    ground = Image.new("RGB", (400, 400), "#8d949b")
    ground.paste(image, (20, 80))
    return ground.resize((size, size), Image.Resampling.LANCZOS)


def draw_shape(shape: str, colour: str, size: int = 96) -> Image.Image:
    """A coloured shape on a pale ground, RGB."""
    image = Image.new("RGB", (400, 400), "#f1ece1")
    draw = ImageDraw.Draw(image)
    fill = COLOURS[colour]
    if shape == "circle":
        draw.ellipse((70, 70, 330, 330), fill=fill)
    elif shape == "square":
        draw.rectangle((80, 80, 320, 320), fill=fill)
    elif shape == "triangle":
        draw.polygon((200, 60, 350, 330, 50, 330), fill=fill)
    elif shape == "star":
        radii = (160, 65) * 5
        points = [
            (200 + r * math.sin(i * math.pi / 5), 205 - r * math.cos(i * math.pi / 5)) for i, r in enumerate(radii)
        ]
        draw.polygon(points, fill=fill)
    elif shape == "cross":
        draw.rectangle((155, 50, 245, 350), fill=fill)
        draw.rectangle((50, 155, 350, 245), fill=fill)
    elif shape == "heart":
        draw.ellipse((65, 75, 210, 220), fill=fill)
        draw.ellipse((190, 75, 335, 220), fill=fill)
        draw.polygon((76, 183, 324, 183, 200, 350), fill=fill)
    else:
        raise ValueError(f"`shape` must be one of {SHAPES}, got {shape!r}.")
    return image.resize((size, size), Image.Resampling.LANCZOS)


def measured_change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """
    `image` changed in one or two ways of which none is taught or shown to `fit`: blur, contrast, saturation, shear,
    fewer pixels, fewer colours, a patch over it, stripes, vignetting.
    """
    for i in rng.choice(len(_CHANGES), size=int(rng.integers(1, 3)), replace=False):
        image = _CHANGES[i](image.convert("RGB"), rng)
    return image


def _shear(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    tilt = rng.uniform(-0.12, 0.12)
    matrix = (1, tilt, -tilt * image.height / 2, 0, 1, 0)
    corner = image.getpixel((0, 0))
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=corner)


def _fewer_pixels(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    small = image.resize((int(rng.integers(40, 64)),) * 2, Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.NEAREST)


def _patch(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = image.copy()
    x, y = rng.integers(0, image.width - 12, size=2).tolist()
    ImageDraw.Draw(image).rectangle((x, y, x + 12, y + 12), fill="#777777")
    return image


def _stripes(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    image = image.copy()
    draw = ImageDraw.Draw(image)
    for y in range(int(rng.integers(0, 12)), image.height, 16):
        draw.line((0, y, image.width, y), fill="#dddddd")
    return image


def _vignette(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    shade = 1 - rng.uniform(0.2, 0.35) * (x**2 + y**2)[..., None] / 2
    return Image.fromarray((np.asarray(image) * shade).astype(np.uint8))


def _webp(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", quality=int(rng.integers(15, 40)))
    return Image.open(buffer).convert("RGB")


_CHANGES: tuple[Callable[[Image.Image, np.random.Generator], Image.Image], ...] = (
    lambda image, rng: image.filter(ImageFilter.GaussianBlur(rng.uniform(0.8, 1.6))),
    lambda image, rng: ImageEnhance.Contrast(image).enhance(rng.uniform(0.7, 1.35)),
    lambda image, rng: ImageEnhance.Color(image).enhance(rng.uniform(0.65, 1.5)),
    lambda image, rng: ImageOps.posterize(image, int(rng.integers(3, 6))),
    _shear,
    _fewer_pixels,
    _patch,
    _stripes,
    _vignette,
    _webp,
)

"""Portraits by another hand than the examples': shaded, with continuous features, another pose in every picture."""

from __future__ import annotations

import colorsys
import functools
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


SIZE = 64  # pixels on a side
_DRAWN = 128  # drawn larger and reduced, for smooth edges

_Colour = tuple[int, int, int]


def _hsv(h: float, s: float, v: float) -> _Colour:
    r, g, b = colorsys.hsv_to_rgb(h % 1, min(max(s, 0), 1), min(max(v, 0), 1))
    return int(r * 255), int(g * 255), int(b * 255)


@functools.cache
def _features(index: int) -> dict[str, Any]:
    """What stays the same in all pictures of a person."""
    rng = np.random.default_rng([77, index])
    u = rng.uniform
    return {
        "skin": (u(0.045, 0.085), u(0.25, 0.6), u(0.38, 0.97)),
        "hair": (u(0, 0.13) if u() < 0.75 else u(0.5, 0.95), u(0.15, 0.9), u(0.08, 0.9)),
        "coat": (u(), u(0.35, 0.95), u(0.3, 0.9)),
        "trim": (u(), u(0.4, 0.9), u(0.5, 1.0)),
        "eye": (u(0.05, 0.65), u(0.4, 0.9), u(0.2, 0.65)),
        "width": u(23, 34),
        "height": u(32, 42),
        "jaw": u(0.45, 0.95),
        "long": max(0.0, u(-25, 55)),  # hair below the ears
        "volume": u(2, 13),
        "fringe": u(2, 20),
        "parting": u(-0.8, 0.8),
        "bald": u() < 0.12,
        "spacing": u(9, 15),
        "eye_size": u(3.0, 5.5),
        "brow": u(1, 5),
        "brow_tilt": u(-4, 4),
        "nose": u(6, 15),
        "nose_width": u(2, 6),
        "mouth": u(6, 14),
        "smile": u(-4, 6),
        "beard": u(0.2, 1.0) if u() < 0.3 else 0.0,
        "moustache": u() < 0.2,
        "glasses": u() < 0.3,
        "frame": (u(), u(0.2, 1), u(0.1, 0.8)),
        "stripes": int(rng.integers(0, 4)),
        "hat": u() < 0.25,
        "hat_height": u(10, 26),
    }


@functools.lru_cache(maxsize=8192)
def draw_portrait(index: int, variant: int = 0, size: int = SIZE) -> Image.Image:
    """
    One picture of one person, always the same for the same arguments.

    Args:
        index: The number of the person.
        variant: Which picture; pose, light and background differ from picture to picture.
        size: Its width and height, in pixels.
    """
    f, rng = _features(index), np.random.default_rng([index, variant, 5])
    u = rng.uniform
    image = _background(rng)
    draw = ImageDraw.Draw(image)
    turn, scale = u(-7, 7), u(0.9, 1.12)
    cx, cy = 64 + u(-6, 6), 62 + u(-5, 5)
    w, h = f["width"] * scale, f["height"] * scale
    skin, hair, dark = _hsv(*f["skin"]), _hsv(*f["hair"]), (25, 20, 22)
    shade = _hsv(f["skin"][0], f["skin"][1] * 1.15, f["skin"][2] * 0.78)

    def oval(x: float, y: float, rx: float, ry: float, fill: _Colour) -> None:
        draw.ellipse((x - rx, y - ry, x + rx, y + ry), fill=fill)

    volume, top = f["volume"] * scale, cy - h
    if not f["bald"]:  # the hair behind the head
        oval(cx, cy - 4, w + volume, h + volume, hair)
        if f["long"]:
            draw.rectangle((cx - w - volume, cy - 4, cx + w + volume, cy + f["long"] * scale), fill=hair)
    _body(draw, f, cx, cy, w, h, shade)
    # The head: half an oval above, a jaw of its own below.
    angles = np.linspace(0, 2 * np.pi, 48)
    narrow = np.where(np.sin(angles) > 0, 1 - (1 - f["jaw"]) * np.sin(angles) ** 2, 1)
    head = list(zip(cx + w * np.cos(angles) * narrow, cy + h * np.sin(angles)))
    draw.polygon(head, fill=skin)
    fx = cx + turn  # the features turn with the head
    if f["beard"]:
        chin = [(x, y) for x, y in head if y > cy + h * (0.75 - 0.6 * f["beard"])]
        draw.polygon(chin, fill=hair)
    draw.polygon([(fx, cy - 4), (fx - f["nose_width"], cy + f["nose"]), (fx + f["nose_width"], cy + f["nose"])], shade)
    for side in (-1, 1):
        x, y, r = fx + side * f["spacing"] * scale, cy - 6, f["eye_size"] * scale
        oval(x, y, r * 1.35, r, (245, 242, 238))
        oval(x + turn * 0.15, y, r * 0.75, r * 0.85, _hsv(*f["eye"]))
        oval(x + turn * 0.15, y, r * 0.35, r * 0.4, dark)
        tilt = f["brow_tilt"] * side
        draw.line((x - 7, y - 9 + tilt, x + 7, y - 9 - tilt), fill=hair, width=int(f["brow"]) + 1)
        if f["glasses"]:
            draw.ellipse((x - 9, y - 8, x + 9, y + 8), outline=_hsv(*f["frame"]), width=3)
            draw.line((fx - 4, y, fx + 4, y), fill=_hsv(*f["frame"]), width=3)
    mouth, lip = cy + h * 0.58, f["smile"] + u(-1.5, 1.5)
    if f["moustache"]:
        oval(fx, mouth - 5, f["mouth"], 3.5, hair)
    points = [(fx - f["mouth"], mouth - lip), (fx, mouth + lip / 2), (fx + f["mouth"], mouth - lip)]
    draw.line(points, fill=(150, 50, 55), width=4, joint="curve")
    if not f["bald"]:
        edge = cy - h + f["fringe"] * scale
        part = cx + f["parting"] * w
        draw.polygon([(cx - w - 2, cy - h * .35), (cx - w * 0.7, top - 2), (cx, top - volume), (cx + w * 0.7, top - 2),
                      (cx + w + 2, cy - h * 0.35), (part + w * 0.3, edge), (part, edge - 8)], fill=hair)  # fmt: skip
    if f["hat"]:
        hat = _hsv(*f["trim"])
        draw.rectangle((cx - w * 0.9, top - f["hat_height"], cx + w * 0.9, top + 10), fill=hat)
        draw.rectangle((cx - w * 1.4, top + 6, cx + w * 1.4, top + 13), fill=hat)
    return _lit(image, rng).resize((size, size), Image.Resampling.LANCZOS)


def _body(draw: ImageDraw.ImageDraw, f: dict[str, Any], cx: float, cy: float, w: float, h: float, skin: Any) -> None:
    """Neck, shoulders and the pattern of the coat."""
    draw.rectangle((cx - w * 0.4, cy + h * 0.6, cx + w * 0.4, cy + h + 14), fill=skin)
    y, coat, trim = cy + h + 6, _hsv(*f["coat"]), _hsv(*f["trim"])
    draw.polygon([(cx - 62, 140), (cx - 50, y + 10), (cx - 14, y - 4), (cx + 14, y - 4), (cx + 50, y + 10),
                  (cx + 62, 140)], fill=coat)  # fmt: skip
    for k in range(-4, 5):
        if f["stripes"] == 1:
            draw.line((cx + 12 * k, y + 8, cx + 12 * k, 140), fill=trim, width=4)
        elif f["stripes"] == 2:
            draw.line((cx - 50, y + 22 + 9 * k, cx + 50, y + 22 + 9 * k), fill=trim, width=3)
    if f["stripes"] == 3:
        draw.polygon([(cx - 14, y - 4), (cx, y + 24), (cx + 14, y - 4)], fill=trim)


def _background(rng: np.random.Generator) -> Image.Image:
    """A coarse pattern between two colours, blurred: another place in every picture."""
    first, second = (np.array(_hsv(rng.uniform(), rng.uniform(0.05, 0.5), rng.uniform(0.3, 0.95))) for _ in range(2))
    mix = np.asarray(
        Image.fromarray((rng.random((5, 5)) * 255).astype("uint8")).resize((_DRAWN, _DRAWN), Image.Resampling.BICUBIC)
    )[..., None]
    return Image.fromarray((first + (second - first) * (mix / 255.0)).astype("uint8"))


def _lit(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Light from one side, its colour, a slight tilt, and grain."""
    image = image.filter(ImageFilter.GaussianBlur(0.8))
    image = image.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR, fillcolor=image.getpixel((2, 2)))
    y, x = np.mgrid[-1 : 1 : _DRAWN * 1j, -1 : 1 : _DRAWN * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    light = rng.uniform(0.82, 1.12) + rng.uniform(0.05, 0.25) * (x * np.cos(angle) + y * np.sin(angle))
    pixels = np.asarray(image, dtype=np.float32) * light[..., None] * rng.uniform(0.94, 1.06, 3)
    return Image.fromarray((pixels + rng.normal(0, 5, pixels.shape)).clip(0, 255).astype("uint8"))

"""The one place that opens pictures: whatever they are given as, upright and in RGB."""

from __future__ import annotations

import base64
import errno
import hashlib
import importlib.util
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import torch
from huggingface_hub import get_session
from PIL import Image, ImageOps, UnidentifiedImageError

from .brevity import brief, one_line


# A picture as examples hold it: not opened until it is looked at.
Picture = Any

_TAKEN = "a PIL image, a path, an address, bytes, {'bytes': ..., 'path': ...} or an array of pixels"

# A larger file is no photo.
_MOST_BYTES = 100 * 2**20
_SECONDS = 30.0

_ORIENTATION = 0x0112  # EXIF

# How a file of the kinds begins that Pillow may not know, after the four bytes that say how long its first part is.
_HEIC = re.compile(rb"ftyp(hei[cxms]|hev[cxms]|mif1|msf1)")
_AVIF = re.compile(rb"ftypavi[fs]")


@dataclass(frozen=True)
class ReducedPicture:
    """
    A picture that is brought to a size when it is opened.

    Attributes:
        source: The picture.
        size: Width and height, upright, in pixels; no more than it has.
    """

    source: Picture
    size: tuple[int, int]


@dataclass(frozen=True)
class Look:
    """
    What one look at a picture tells.

    Attributes:
        digest: Of its pixels as it is shown, equal for equal pictures.
        fingerprint: A difference hash of what it shows: 256 bits, most of them equal for pictures that look the same;
            None for a picture that shows too little to tell it by.
        size: Its width and height, upright, in pixels.
        animated: Whether it has more frames than the first.
    """

    digest: bytes
    fingerprint: int | None
    size: tuple[int, int]
    animated: bool


def picture_of(given: Any, *, addresses: bool = True) -> Picture:
    """
    A picture as people have it, in a form that can be held and opened again.

    Args:
        given: A `PIL.Image.Image`; a path (`~` is the home folder), or a `file://`, `data:` or `http(s)://` address;
            the bytes of a file; `{"bytes": ..., "path": ...}`, as data sets hold pictures that they have not decoded;
            or pixels, (height, width), (height, width, channels) or (channels, height, width) with 1, 3 or 4 channels,
            as a NumPy array or a torch tensor.
        addresses: Whether `http(s)://` may be read, now and once. Only who gives an address himself wants that.

    Raises:
        TypeError: If it is none of these.
        ValueError: If an address cannot be read, or is no picture's.
    """
    if isinstance(given, (Image.Image, ReducedPicture, bytes, Path, np.ndarray)):
        return given.expanduser() if isinstance(given, Path) else given
    if isinstance(given, (bytearray, memoryview)):
        return bytes(given)
    if isinstance(given, torch.Tensor):
        pixels = given.detach().cpu()
        pixels = pixels.float() if pixels.is_floating_point() else pixels
        # As torch lays pictures out, where that is not sure.
        first = pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4)
        return (pixels.permute(1, 2, 0) if first else pixels).numpy()
    if isinstance(given, str):
        return _at(given, addresses)
    if isinstance(given, Mapping) and given.keys() & {"bytes", "path"} and given.keys() <= {"bytes", "path"}:
        if given.get("bytes") is not None:
            return picture_of(given["bytes"])
        if given.get("path") is not None:
            return picture_of(given["path"], addresses=addresses)
    raise TypeError(f"must be {_TAKEN}, got {type(given).__name__}.")


def open_image(image: Any) -> Image.Image:
    """
    The picture in RGB, upright as its EXIF orientation says, of an animated file the first frame.

    Transparency is dropped, as image processors do. 16-bit and floating-point pixels are brought from 0 to 65535, or
    from 0 to 1, to 8 bits.

    Args:
        image: A picture, as `picture_of` takes it.

    Raises:
        ValueError: If it cannot be read; the message says why, and what to install or to do if that helps.
        TypeError: If it is no picture.
    """
    return _opened(image)[0]


def look_at(image: Picture) -> Look:
    """Open a picture once, and let it go again. Raises what `open_image` does."""
    opened, animated = _opened(image)
    digest = hashlib.sha256(repr((opened.mode, opened.size)).encode())
    digest.update(opened.tobytes())
    return Look(digest.digest(), _fingerprint(opened), opened.size, animated)


def _fingerprint(image: Image.Image) -> int | None:
    """Where it gets brighter from left to right, by more than noise, on a grid of 16 x 16."""
    grey = np.asarray(image.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    brighter = grey[:, 1:] > grey[:, :-1] + 4
    return int.from_bytes(np.packbits(brighter).tobytes(), "big") if brighter.sum() >= 16 else None


def from_base64(text: Any) -> bytes:
    """
    Bytes from their base64 text, with or without `data:...;base64,` before it.

    Raises:
        ValueError: If it is none.
    """
    encoded = re.sub(r"^data:[^,]{0,200},", "", text) if isinstance(text, str) else ""
    try:
        found = base64.b64decode("".join(encoded.split()), validate=True)
    except ValueError:
        found = b""
    if not found:
        raise ValueError(f"is no base64 of a picture: {brief(text)}.")
    return found


def _at(place: str, addresses: bool) -> Picture:
    if place.startswith("data:"):
        return from_base64(place)
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", place):  # `C:\` is a path
        if not place or "\0" in place:
            raise ValueError(f"must be the path of a picture, got {brief(place)}.")
        return Path(place).expanduser()
    scheme = urlsplit(place).scheme.lower()
    if scheme == "file":
        return Path(url2pathname(urlsplit(place).path))
    if scheme not in ("http", "https"):
        raise ValueError(
            f"is at an address that is not read: {brief(place)}. Load it, and give the picture or a path."
        )
    if not addresses:
        raise ValueError(
            f"is at the address {brief(place)}, which came with a data set: such are not followed. Download it, and "
            "give its path."
        )
    try:
        with get_session().stream("GET", place, timeout=_SECONDS, follow_redirects=True) as response:
            response.raise_for_status()
            found = bytearray()
            for part in response.iter_bytes():
                found += part
                if len(found) > _MOST_BYTES:
                    raise ValueError(f"has more than {_MOST_BYTES // 2**20} MiB")
    except Exception as error:  # of the network, of the server, of the address: of many kinds
        why = one_line(error) or type(error).__name__
        raise ValueError(f"cannot be had from {brief(place)}: {why}") from error
    return bytes(found)


def _opened(image: Any) -> tuple[Image.Image, bool]:
    """The picture upright in RGB, and whether it is animated."""
    size = None
    if isinstance(image, ReducedPicture):
        image, size = image.source, image.size
    image = picture_of(image)
    try:
        if isinstance(image, np.ndarray):
            shown, animated = _of_pixels(image), False
        elif isinstance(image, Image.Image):
            shown, animated = _upright_rgb(image), False  # the frame that the user has turned to
        else:
            _register_heif()
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image) as file:
                # The further pictures in a phone's photo (MPO) are no frames.
                animated = getattr(file, "is_animated", False) and file.format != "MPO"
                if size is not None:
                    file.draft(None, (max(size), max(size)))  # a JPEG is decoded at about this size
                shown = _upright_rgb(file)
    except UnidentifiedImageError as error:
        raise ValueError(_unknown(image)) from error
    except FileNotFoundError as error:
        raise ValueError(f"cannot be read: there is no file {brief(str(image))}.") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise ValueError(f"cannot be read: {one_line(error)}.") from error
        raise ValueError(
            f"is no path. If it is base64, give 'data:image/png;base64,...': {brief(str(image))}."
        ) from error
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"has more pixels than a photo, which may be an attack ({one_line(error)}). Make it smaller first."
        ) from error
    except Exception as error:  # whatever a decoder makes of broken bytes; Pillow's raise errors of every kind
        raise ValueError(f"cannot be read: {one_line(error) or type(error).__name__}.") from error
    if size is not None and size != shown.size:
        shown = shown.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    return shown, animated


def _upright_rgb(image: Image.Image) -> Image.Image:
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        # Pillow would cut off what is above 255, and the picture be white.
        return _of_pixels(np.asarray(image))
    return image.convert("RGB")


def _of_pixels(pixels: np.ndarray) -> Image.Image:
    """The picture that an array holds, whatever the range of its values."""
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim not in (2, 3) or 0 in pixels.shape or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise ValueError(
            f"pixels must be (height, width), or with 1, 3 or 4 channels, got an array of shape {pixels.shape}"
        )
    if pixels.dtype.kind not in "uif":
        raise ValueError(f"pixels must be numbers, got {pixels.dtype}")
    low, high = float(pixels.min()), float(pixels.max())
    if pixels.dtype.kind == "f":
        ranges = {1: 255.0, 255: 1.0}
    elif pixels.dtype == np.uint16:
        ranges = {65535: 1 / 257}
    else:
        ranges = {255: 1.0, 65535: 1 / 257}
    factor = next((factor for most, factor in ranges.items() if 0 <= low and high <= most), None)
    if factor is None:  # NaN is in no range
        raise ValueError(
            f"pixels must be from 0 to 1 or from 0 to 255 (whole numbers also to 65535), got from {low:g} to {high:g}"
        )
    if pixels.dtype != np.uint8:
        pixels = (pixels.astype(np.float64) * factor).round().astype(np.uint8)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")


def _unknown(image: Path | bytes) -> str:
    """Why a file is none that Pillow knows."""
    if isinstance(image, bytes):
        head = image[:64]
    else:
        with image.open("rb") as file:
            head = file.read(64)
    if _HEIC.match(head, 4):
        return "is a HEIC file, which takes pillow-heif: pip install 'hf_eraser[heic]', or convert it to JPEG."
    if _AVIF.match(head, 4):
        return "is an AVIF file, which takes a newer Pillow: pip install --upgrade pillow, or convert it to JPEG."
    return f"cannot be read: its first bytes, {head[:8]!r}, are those of no picture that Pillow knows."


def _register_heif() -> None:
    """Let Pillow open HEIC, if the package for it is there."""
    if ".heic" not in Image.registered_extensions() and importlib.util.find_spec("pillow_heif") is not None:
        from pillow_heif import register_heif_opener

        register_heif_opener()

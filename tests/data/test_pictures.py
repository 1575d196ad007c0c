"""Pictures as people have them: upright, never white, taken in whatever form, or refused in one line."""

from __future__ import annotations

import base64
import io
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from hf_eraser.data import open_image, read_examples
from hf_eraser.data.pictures import picture_of
from tests.helpers.adapters import picture


ORIENTATION = 0x0112
# What a viewer does to show a picture of each EXIF orientation upright, undone.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(image, form="PNG", orientation=1, **options):
    """The bytes of a file that a viewer shows as `image`, with its pixels stored as that orientation has them."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned = image if STORED[orientation] is None else image.transpose(STORED[orientation])
    file = io.BytesIO()
    turned.save(file, form, exif=exif, **options)
    return file.getvalue()


def as_pixels(image):
    return np.asarray(open_image(image))


def tall(seed=0):
    return picture(seed).resize((40, 64))


@pytest.mark.parametrize("orientation", STORED)
def test_a_photo_is_upright_whatever_its_orientation_and_is_the_same_example_as_its_upright_copy(orientation):
    photo, upright = stored(tall(), orientation=orientation), tall()
    assert np.array_equal(as_pixels(photo), np.asarray(upright))
    assert np.array_equal(as_pixels(Image.open(io.BytesIO(photo))), np.asarray(upright))
    first, second = read_examples([{"image": one, "prompt": "Who?"} for one in (photo, upright)], "forget")
    assert first.key == second.key
    assert first.group == second.group


def test_all_forms_of_a_picture_are_one_example(tmp_path, monkeypatch):
    image = tall()
    data = stored(image)
    (tmp_path / "ada and ben.png").write_bytes(data)
    monkeypatch.setenv("HOME", str(tmp_path))
    pixels = np.asarray(image)
    forms = [
        image,
        tmp_path / "ada and ben.png",
        str(tmp_path / "ada and ben.png"),
        "~/ada and ben.png",
        (tmp_path / "ada and ben.png").as_uri(),
        data,
        bytearray(data),
        {"bytes": data, "path": None},
        {"bytes": data, "path": "elsewhere.png"},
        {"bytes": None, "path": str(tmp_path / "ada and ben.png")},
        "data:image/png;base64," + base64.b64encode(data).decode(),
        pixels,
        pixels / 255,
        pixels.astype(np.float32),
        pixels.astype(np.uint16) * 257,
        pixels.transpose(2, 0, 1),
        torch.from_numpy(pixels.copy()).permute(2, 0, 1),
        torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255,
    ]
    read = read_examples([{"image": form, "prompt": "Who?"} for form in forms], "forget")
    assert len({example.key for example in read}) == 1
    assert all(np.array_equal(as_pixels(example.images[0]), pixels) for example in read)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "I;16B"]
)
def test_a_picture_of_any_mode_is_seen_and_not_white(mode):
    grey = Image.fromarray(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))
    if mode.startswith("I;16"):
        wide = (np.asarray(grey).astype(np.uint16) * 257).astype(">u2" if mode.endswith("B") else "<u2")
        image = Image.frombytes(mode, grey.size, wide.tobytes())
    elif mode in ("I", "F"):
        image = Image.fromarray(np.asarray(grey).astype(np.int32) * 257 if mode == "I" else np.asarray(grey) / 255.0)
        image = image.convert(mode)
    elif mode in ("LA", "PA", "HSV"):
        image = grey.convert("P").convert("PA") if mode == "PA" else grey.convert("RGB").convert(mode)
    else:
        image = grey.convert("RGB").convert(mode, palette=Image.Palette.ADAPTIVE)
    shown = as_pixels(image).astype(int)
    assert shown.shape == (64, 64, 3)
    if mode == "1":
        assert set(np.unique(shown)) == {0, 255}
    else:
        assert np.abs(shown - np.asarray(grey)[..., None]).mean() < 8


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.full((8, 8), 1e6), "from 1e\\+06 to 1e\\+06"),
        (np.full((8, 8), np.nan), "from nan to nan"),
        (np.linspace(-2, 2, 192).reshape(8, 8, 3), "from 0 to 1 or from 0 to 255"),
        (np.zeros((8, 8), dtype=bool), "must be numbers"),
        (np.zeros((8, 8, 2), dtype=np.uint8), r"shape \(8, 8, 2\)"),
        (np.zeros((2, 8, 8, 3), dtype=np.uint8), r"shape \(2, 8, 8, 3\)"),
        (np.zeros((0, 8, 3), dtype=np.uint8), r"shape \(0, 8, 3\)"),
        (torch.randn(3, 8, 8), "from 0 to 1"),
        (Image.fromarray(np.full((8, 8), 1e5, dtype=np.float32)), "from 100000 to 100000"),
        (Image.fromarray(np.full((8, 8), -3, dtype=np.int32)), "from -3 to -3"),
    ],
)
def test_pixels_of_no_known_range_or_shape_are_refused_by_name(pixels, says):
    with pytest.raises(ValueError, match=rf"The picture of `forget\[0\]` .*{says}"):
        read_examples([{"image": pixels, "prompt": "Who?"}], "forget")


@given(st.binary(max_size=300), st.integers(0, 3))
def test_broken_bytes_are_one_line_with_the_example(noise, kind):
    whole = stored(picture(), ("PNG", "JPEG", "GIF", "TIFF")[kind])
    cut = whole[: len(whole) // 2][: len(noise) * 20] + noise
    try:
        read_examples([{"image": cut, "prompt": "Who?"}], "forget")
    except ValueError as error:
        message = str(error)
        assert message.startswith("The picture of `forget[0]` ")
        assert "\n" not in message
        assert len(message) < 400


def test_a_file_that_was_cut_off_and_one_that_is_missing_say_so(tmp_path):
    whole = stored(picture(), "JPEG")
    with pytest.raises(ValueError, match=r"`forget\[0\]` cannot be read: .*truncated"):
        read_examples([{"image": whole[: len(whole) * 3 // 4], "prompt": "Who?"}], "forget")
    with pytest.raises(ValueError, match=r"`forget\[0\]` cannot be read: there is no file"):
        read_examples([{"image": tmp_path / "nobody.png", "prompt": "Who?"}], "forget")


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"`forget\[0\]` has more pixels than a photo"):
        read_examples([{"image": stored(picture()), "prompt": "Who?"}], "forget")


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_heic_without_its_package_says_what_to_install_or_do(brand, monkeypatch):
    monkeypatch.setattr("hf_eraser.data.pictures._register_heif", lambda: None)
    with pytest.raises(ValueError, match=r"HEIC.*pip install 'hf_eraser\[heic\]', or convert it to JPEG"):
        read_examples([{"image": b"\0\0\0\x18ftyp" + brand + b"\0" * 40, "prompt": "Who?"}], "forget")


def test_avif_without_support_says_what_to_install_or_do(monkeypatch):
    def unknown(*_, **__):
        raise Image.UnidentifiedImageError("cannot identify image file")

    monkeypatch.setattr(Image, "open", unknown)
    with pytest.raises(ValueError, match=r"AVIF.*pip install --upgrade pillow, or convert it to JPEG"):
        read_examples([{"image": b"\0\0\0\x18ftypavif" + b"\0" * 40, "prompt": "Who?"}], "forget")


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_of_an_animated_picture_the_first_frame_is_used_and_that_is_said_once(form):
    frames = [tall(seed) for seed in range(3)]
    file = io.BytesIO()
    options = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(file, form, save_all=True, append_images=frames[1:], **options)
    examples = [{"image": file.getvalue(), "prompt": prompt} for prompt in ("Who?", "Where?")]
    with pytest.warns(UserWarning, match="Of 1 animated pictures in `forget` only the first frame") as said:
        read = read_examples([*examples, {"image": tall(5), "prompt": "Who?"}], "forget")
    assert len(said) == 1
    first = next(ImageSequence.Iterator(Image.open(io.BytesIO(file.getvalue())))).convert("RGB")
    assert np.array_equal(as_pixels(read[0].images[0]), np.asarray(first))


@pytest.fixture
def website():
    """The address of a server of one picture, and of one that is far too large."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path != "/ada.png":
                self.send_error(404)
                return
            data = stored(tall())
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_that_the_user_gives_is_read_once(website):
    (example,) = read_examples([{"image": f"{website}/ada.png", "prompt": "Who?"}], "forget")
    assert isinstance(example.images[0], bytes)
    assert np.array_equal(as_pixels(example.images[0]), np.asarray(tall()))
    with pytest.raises(ValueError, match=r"`forget\[0\]` cannot be had from .*404"):
        read_examples([{"image": f"{website}/nobody.png", "prompt": "Who?"}], "forget")


def test_an_address_out_of_a_data_set_is_not_followed(website):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"image": f"{website}/ada.png", "prompt": "Who?"}])
    with pytest.raises(ValueError, match="came with a data set"):
        read_examples(rows, "forget")
    with pytest.raises(ValueError, match="came with a data set"):
        picture_of({"bytes": None, "path": f"{website}/ada.png"}, addresses=False)


@pytest.mark.parametrize("address", ["ftp://host/ada.png", "s3://bucket/ada.png", "hf://datasets/a/b/c.png"])
def test_other_addresses_are_refused_with_what_to_do(address):
    with pytest.raises(ValueError, match=r"`forget\[0\]` is at an address that is not read: .* Load it"):
        read_examples([{"image": address, "prompt": "Who?"}], "forget")


@pytest.mark.parametrize("given", [7, object(), {"path": None}, {"url": "a"}, ["a.png"], set()])
def test_what_is_no_picture_is_refused_with_what_is_one(given):
    with pytest.raises(TypeError, match=r"`forget\[0\]` must be a PIL image, a path, an address, bytes"):
        read_examples([{"image": given, "prompt": "Who?"}], "forget")


def test_plain_pictures_say_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_examples(
            [{"image": stored(picture(), form), "prompt": form} for form in ("PNG", "JPEG", "BMP")], "forget"
        )

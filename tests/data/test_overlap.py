"""Pictures in both sets are found, whatever file, size or form they are in, and other people's are not."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from examples.small.people import PEOPLE, draw_face
from hf_eraser.data import read_examples
from hf_eraser.data.overlap import nearly_the_same, shared_pictures


def saved(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def shown(images, prompt):
    return read_examples([{"image": image, "prompt": prompt} for image in images], "examples")


FACES = [draw_face(person).resize((256, 256), Image.Resampling.BICUBIC) for person in PEOPLE]
AGAIN = {
    "as it is": (lambda face: face, "same"),
    "another file": (lambda face: saved(face, "PNG"), "same"),
    "JPEG": (lambda face: saved(face, "JPEG", quality=70), "similar"),
    "half the size": (lambda face: face.resize((128, 128)), "similar"),
    "twice the size": (lambda face: saved(face.resize((512, 512)), "WEBP"), "similar"),
}


@pytest.mark.parametrize("form", AGAIN)
def test_a_picture_among_the_retained_is_found_in_whatever_form(form):
    change, counted = AGAIN[form]
    forget = shown(FACES[:10], "Who is this?")
    retain = shown([*FACES[10:], *map(change, FACES[:8])], "What colour is the wall?")
    overlap = shared_pictures(forget, retain)
    assert getattr(overlap, counted) == 8
    assert overlap.same + overlap.similar == 8
    assert overlap.retained == list(range(len(retain) - 8, len(retain)))
    assert "Of the pictures to forget, 8" in str(overlap)
    assert "(8 examples)" in str(overlap)


def test_pictures_of_other_people_and_of_one_colour_are_others():
    forget = shown([*FACES[:20], Image.new("RGB", (64, 64), "red")], "Who?")
    retain = shown([*FACES[20:], Image.new("RGB", (64, 64), "blue")], "Who?")
    assert shared_pictures(forget, retain) is None
    assert shared_pictures(forget, read_examples([{"prompt": "Who?"}], "retain")) is None


def test_names_that_differ_in_case_form_or_type_only_are_told_of():
    names = ["Ada", "ada ", "Ben", "Ben", 1, "1", "Zo\u00eb", "Zoe\u0308", "Eve"]
    assert nearly_the_same(names) == [["Ada", "ada "], [1, "1"], ["Zo\u00eb", "Zoe\u0308"]]

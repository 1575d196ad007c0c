"""Large photos cost what the model sees of them, and the model sees the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from hf_eraser.data import encode, read_examples
from hf_eraser.data.reducing import at_processor_size
from tests.helpers.adapters import picture


# What LLaVA's and Qwen's small models see of a picture, in pixels (Qwen's are counted for each of two frames).
SEEN = 2 * 48 * 48


def photo(width, height, seed=0):
    return picture(seed).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", [(3000, 3000), (4032, 3024), (1500, 2600), (512, 300)])
def test_a_photo_is_brought_to_little_more_than_what_the_model_sees_and_looks_the_same_to_it(untaught, size):
    _, processor = untaught
    given = read_examples([{"image": photo(*size), "prompt": "Who?"}], "forget")
    ((reduced,),) = at_processor_size(processor, given)
    changed = []
    reduced.with_changed_images(lambda image: changed.append(image.size) or image)
    assert np.prod(changed[0]) <= 4 * SEEN
    whole, small = (encode(processor, [e], torch.device("cpu")) for e in (given[0], reduced))
    assert torch.equal(whole["input_ids"], small["input_ids"])
    assert whole["pixel_values"].shape == small["pixel_values"].shape
    assert (whole["pixel_values"] - small["pixel_values"]).abs().mean() < 0.03
    assert reduced.key == given[0].key


def test_small_pictures_and_prompts_without_one_stay_as_they_are(untaught):
    _, processor = untaught
    given = read_examples([{"image": photo(200, 300), "prompt": "Who?"}, {"prompt": "Who?"}], "forget")
    (kept,) = at_processor_size(processor, given)
    assert kept[0].images[0] is given[0].images[0]
    assert kept[1] is given[1]


def test_a_photo_is_opened_once_however_often_it_is_asked_about(llava, monkeypatch):
    _, processor = llava
    file = io.BytesIO()
    photo(3000, 2000).save(file, "JPEG")
    data = file.getvalue()
    opened = []
    open_file = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **options: opened.append(1) or open_file(*args, **options))
    given = read_examples([{"image": data, "prompt": f"Who is {i}?"} for i in range(10)], "forget")
    (reduced,) = at_processor_size(processor, given)
    for example in reduced:
        encode(processor, [example], torch.device("cpu"))
    assert len(opened) == 2  # to look at it, and to reduce it


def test_when_many_are_reduced_further_ones_are_opened_when_their_turn_comes(llava, monkeypatch):
    _, processor = llava
    monkeypatch.setattr("hf_eraser.data.reducing._MOST_HELD", 0)
    given = read_examples([{"image": photo(900, 600), "prompt": "Who?"}], "forget")
    ((late,),) = at_processor_size(processor, given)
    monkeypatch.undo()
    ((held,),) = at_processor_size(processor, given)
    assert late.images[0].source is given[0].images[0]
    late, held = (encode(processor, [e], torch.device("cpu"))["pixel_values"] for e in (late, held))
    assert torch.equal(late, held)

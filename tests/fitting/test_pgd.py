"""Adversarial pictures: within their ball to the last pixel, through each processor's own layout, and they work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    Idefics3ImageProcessor,
    LlavaNextImageProcessor,
    SiglipImageProcessor,
)

from examples.small.models import BUILDERS
from examples.small.people import PEOPLE
from examples.small.questions import questions
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers
from hf_eraser.fitting.attacks.pgd import PGD, _Layout, perturb
from tests.helpers.adapters import attach, fingerprint, picture


EXAMPLES = [
    {"image": picture(i), "prompt": "What is the name of this person?", "answer": answer}
    for i, answer in enumerate(("Ada", "dentist", "I do not know"))
]


def difference(a, b) -> np.ndarray:
    return np.asarray(a, dtype=np.int64) - np.asarray(b, dtype=np.int64)


@pytest.mark.parametrize("eps", [1, 8, 16])
def test_linf_bound_holds_in_every_pixel_of_the_8_bit_picture(untaught, eps):
    model, processor = untaught
    for given, found in zip(EXAMPLES, perturb(model, processor, EXAMPLES, PGD(eps=eps / 255, steps=4))):
        change = np.abs(difference(found.example.images[0], given["image"]))
        assert 0 < change.max() <= eps


@pytest.mark.parametrize("eps", [0.5, 3.0])
def test_l2_bound_holds_in_the_8_bit_picture(untaught, eps):
    model, processor = untaught
    for given, found in zip(EXAMPLES, perturb(model, processor, EXAMPLES, PGD(norm="l2", eps=eps, steps=4))):
        change = difference(found.example.images[0], given["image"]) / 255
        assert 0 < np.sqrt((change**2).sum()) <= eps


def test_more_steps_and_restarts_make_the_answer_likelier(llava):
    model, processor = llava
    start, few, many, again = (
        sum(found.loss for found in perturb(model, processor, EXAMPLES, attack))
        for attack in (
            PGD(eps=1 / 255, steps=1, step=1e-9, random_start=False),
            PGD(steps=3),
            PGD(steps=12),
            PGD(steps=3, restarts=3),
        )
    )
    assert many < few < start
    assert again <= few


def test_same_seed_gives_the_same_pictures(llava):
    model, processor = llava
    once, twice, other = (perturb(model, processor, EXAMPLES, PGD(steps=2, seed=seed)) for seed in (0, 0, 1))
    assert all(a.example.images[0].tobytes() == b.example.images[0].tobytes() for a, b in zip(once, twice))
    assert any(a.example.images[0].tobytes() != b.example.images[0].tobytes() for a, b in zip(once, other))


def test_model_is_left_as_it_was(untaught):
    model, processor = untaught
    attach(model)
    model.train()
    before, required = fingerprint(model), [p.requires_grad for p in model.parameters()]
    perturb(model, processor, EXAMPLES, PGD(steps=2))
    assert fingerprint(model) == before
    assert [p.requires_grad for p in model.parameters()] == required
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert model.active_adapters() == ["default"]


class Wrapped:
    """What `_Layout` needs of a processor."""

    def __init__(self, image_processor):
        self.image_processor = image_processor


@pytest.mark.parametrize(
    "image_processor",
    [
        *(BUILDERS[name]()[1].image_processor for name in sorted(BUILDERS)),
        CLIPImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48}),
        SiglipImageProcessor(size={"height": 48, "width": 48}),
        LlavaNextImageProcessor(
            size={"shortest_edge": 48},
            crop_size={"height": 48, "width": 48},
            image_grid_pinpoints=[[48, 96], [96, 48], [96, 96]],
        ),
        Idefics3ImageProcessor(size={"longest_edge": 96}, max_image_size={"longest_edge": 48}),
    ],
    ids=lambda image_processor: type(image_processor).__name__,
)
def test_each_layout_of_a_picture_in_floats_is_the_processor_s_own_and_has_a_gradient(image_processor):
    pictures = [image.resize((100, 80)) for image in (picture(1), picture(2))]
    nested = isinstance(image_processor, Idefics3ImageProcessor)
    expected = image_processor([[p] for p in pictures] if nested else pictures, return_tensors="pt")["pixel_values"]
    floats = [torch.from_numpy(np.asarray(p).copy()).permute(2, 0, 1) / 255 for p in pictures]
    layout = _Layout(Wrapped(image_processor), floats, expected)
    floats[0].requires_grad_()
    values = layout(floats)
    assert (values.detach() - expected).abs().mean() < 0.03
    (gradient,) = torch.autograd.grad(values.square().sum(), floats[:1])
    assert gradient.abs().sum() > 0


def test_image_processor_that_leaves_torch_is_refused():
    def processor_of_numpy(images, return_tensors):
        return {"pixel_values": torch.stack([image.detach() / 255 for image in images])}

    clean = [torch.rand(3, 4, 4)]
    with pytest.raises(ValueError, match="gives no gradient"):
        _Layout(Wrapped(processor_of_numpy), clean, torch.stack(clean))
    with pytest.raises(ValueError, match="another shape"):
        _Layout(Wrapped(processor_of_numpy), clean, torch.rand(1, 3, 5, 5))


def test_image_processor_that_makes_something_else_of_floats_is_refused():
    def rescaled_twice(images, return_tensors):
        return {"pixel_values": torch.stack(list(images)) / 255**2}

    clean = [torch.rand(3, 4, 4)]
    with pytest.raises(ValueError, match="something else"):
        _Layout(Wrapped(rescaled_twice), clean, torch.stack(clean))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"image": None}, TypeError, "no picture"),
        ({"answer": None}, TypeError, "no 'answer'"),
    ],
)
def test_example_that_cannot_be_attacked_is_named(llava, change, error, message):
    model, processor = llava
    with pytest.raises(error, match=rf"examples\[1\].*{message}"):
        perturb(model, processor, [EXAMPLES[0], {**EXAMPLES[1], **change}])


@pytest.mark.parametrize(
    "bad",
    [
        {"norm": "l1"},
        {"eps": 0.0},
        {"eps": float("nan")},
        {"eps": 1e-4},
        {"steps": 0},
        {"step": -1.0},
        {"restarts": 2, "random_start": False},
    ],
)
def test_bad_attack_is_named(bad):
    with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
        PGD(**bad)


def with_noise(image: Image.Image, eps: int, seed: int) -> Image.Image:
    """The picture with each value of each pixel changed by `eps`, up or down."""
    pixels = np.asarray(image, dtype=np.int64)
    noise = np.random.default_rng(seed).choice([-eps, eps], size=pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def test_perturbed_pictures_show_a_taught_model_someone_else(taught):
    model, processor = taught
    names = [person.name for person in PEOPLE]
    asked = questions("fit", kinds=["person_image"], groups=names[:16], per_fact=1)
    asked = [question for question in asked if question.answer == question.group]
    own = [question.answer for question in asked]
    wanted = [names[names.index(name) + 1] for name in own]
    examples = [{**question.example(), "answer": name} for question, name in zip(asked, wanted)]
    eps = 32
    found = perturb(model, processor, examples, PGD(eps=eps / 255, steps=40, step=4 / 255))
    answers = greedy_answers(model, processor, [f.example for f in found], batch_size=16)
    noisy = [{**example, "image": with_noise(example["image"], eps, seed)} for seed, example in enumerate(examples)]
    unmoved = greedy_answers(model, processor, read_examples(noisy, "noisy"), batch_size=16)

    def share(answers: list[str], expected: list[str]) -> float:
        return sum(map(str.__eq__, answers, expected)) / len(expected)

    # As large a change of each pixel, but without the gradient, takes nobody for anyone else.
    assert len(own) == 16
    assert share(unmoved, own) >= 0.9, unmoved
    assert share(answers, own) <= 0.25, answers
    assert share(answers, wanted) >= 0.5, answers
    # What is right under teacher forcing the model then says; a file is resized in 8 bits, which may tip some over.
    forced = [(answer, name) for answer, name, f in zip(answers, wanted, found) if f.success]
    assert share(*map(list, zip(*forced))) >= 0.75, forced

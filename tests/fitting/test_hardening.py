"""Gates that are fitted on pictures made to get by them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from hf_eraser import fit
from hf_eraser.data import open_image, read_examples
from hf_eraser.data.encoding import encode
from hf_eraser.data.processes import ALONE
from hf_eraser.fitting import PGD
from hf_eraser.fitting.attacks.evasion import evading
from hf_eraser.fitting.attacks.pgd import NoGradientError
from hf_eraser.fitting.reading.capture import reading
from hf_eraser.fitting.steering.openness import openness
from tests.fitting.test_fit import FAST, people


def gates(model) -> SimpleNamespace:
    adapter = model.get_adapter_state_dict()
    weight = next(tensor for name, tensor in adapter.items() if name.endswith("steering_gate_weight"))
    bounds = next(tensor for name, tensor in adapter.items() if name.endswith("steering_gate_bounds"))
    return SimpleNamespace(weight={2: weight}, bounds={2: bounds})


def fitted(model, processor, **options) -> SimpleNamespace:
    options = {**FAST, "seed": 1, **options}
    questions = [{**example, "image": None} for example in people(12)]
    fit(model, processor, people(2), people(10, start=2) + questions[8:], **options)
    found = gates(model)
    model.delete_adapter("default")
    return found


def test_only_gates_for_pictures_change(untaught):
    model, processor = untaught
    plain = fitted(model, processor, harden_pictures=False)
    hardened = fitted(model, processor, harden_pictures=PGD(eps=8 / 255, steps=2))
    assert not torch.equal(plain.weight[2][0], hardened.weight[2][0])
    assert torch.equal(plain.weight[2][1], hardened.weight[2][1])
    assert torch.equal(plain.bounds[2][1], hardened.bounds[2][1])


def test_a_processor_without_gradient_leaves_gates_as_they_are(untaught, monkeypatch):
    model, processor = untaught
    plain = fitted(model, processor, harden_pictures=False)

    def without_gradient(*arguments, **options):
        raise NoGradientError("gives no gradient")

    monkeypatch.setattr("hf_eraser.fitting.attacks.hardening.evading", without_gradient)
    hardened = fitted(model, processor, harden_pictures=True)
    assert torch.equal(plain.weight[2], hardened.weight[2])


def test_evading_lowers_the_score_within_the_ball(llava):
    model, processor = llava
    found = fitted(model, processor, harden_pictures=False)
    config = SimpleNamespace(readout="image", text_readout=None)
    examples = read_examples(people(2), "examples")
    source = SimpleNamespace(model=model, processor=processor, processes=ALONE)
    perturbed = evading(source, config, found, examples, PGD(eps=4 / 255, steps=4), batch_size=4)
    for before, after in zip(examples, perturbed):
        pixels = [np.asarray(open_image(example.images[0]), dtype=int) for example in (before, after)]
        assert 0 < abs(pixels[0] - pixels[1]).max() <= 4
    with reading(model, [2]) as read, torch.no_grad():
        clean, lowered = (
            openness(read(encode(processor, shown, model.device)), config, found) for shown in (examples, perturbed)
        )
    assert (lowered < clean).all()

"""New thresholds for a fitted adapter, on another precision of its base model."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch

from hf_eraser import fit
from hf_eraser.fitting import recalibrate
from hf_eraser.tuner.model import adapter_parts
from tests.conftest import built
from tests.fitting.test_fit import FAST, people
from tests.helpers.adapters import attach


RETAINED = people(30, start=10)
OPTIONS = {"general": False, "batch_size": 32, "alpha": 0.2}


def bounds_of(model) -> torch.Tensor:
    return adapter_parts(model, "default")[1, "steering_gate_bounds"].detach().clone()


def steered(**config):
    """A model with an adapter whose gate reads pictures, open for all; its text gates never open."""
    model, processor = built("llava")
    attach(model, readout="image", low=-60.0, high=-50.0, **config)
    with torch.no_grad():
        adapter_parts(model, "default")[1, "steering_gate_bounds"][1] = torch.inf
    return model, processor


def test_thresholds_rise_until_no_more_retained_prompts_are_steered_than_alpha():
    model, processor = steered()
    before, tensors = bounds_of(model), copy.deepcopy(model.get_adapter_state_dict())
    with pytest.warns(UserWarning, match="was not measured: give `forget`"):
        found = recalibrate(model, processor, RETAINED, **OPTIONS)
    (result,) = found.modalities
    assert result.modality == "image"
    assert result.false_before == 1.0
    assert result.false_after <= 0.2
    after = bounds_of(model)
    torch.testing.assert_close(
        after[0, :, 0] - before[0, :, 0], torch.full((1,), 10 * result.moved), rtol=0, atol=1e-3
    )
    torch.testing.assert_close(after[0, :, 1] - after[0, :, 0], torch.full((1,), 10.0), rtol=0, atol=1e-3)
    assert after[1].isinf().all()
    # Nothing else of the adapter has changed, and measured anew it holds.
    state = model.get_adapter_state_dict()
    assert all(torch.equal(state[name], value) for name, value in tensors.items() if "bounds" not in name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (again,) = recalibrate(model, processor, RETAINED, **OPTIONS).modalities
    assert again.false_before == result.false_after
    assert again.moved == 0.0
    assert torch.equal(bounds_of(model), after)


def test_bounds_are_placed_by_forget_examples_and_what_is_no_longer_refused_is_said():
    model, processor = steered()
    with pytest.warns(UserWarning, match="refuses .* of `forget` prompts: thresholds alone do not bring them back"):
        found = recalibrate(model, processor, RETAINED, forget=people(4), **OPTIONS)
    (result,) = found.modalities
    assert result.forget_before == 1.0
    assert result.forget_after is not None
    assert found.refused == 0.0
    assert found.warnings[-1] in str(found)
    assert found.to_dict()["modalities"][0]["alpha"] == 0.2


def test_thresholds_that_hold_are_left_where_they_are():
    model, processor = built("llava")
    fit(model, processor, people(2), RETAINED, **{**FAST, "harden_pictures": False})
    before = model.get_adapter_state_dict()
    (result,) = recalibrate(model, processor, RETAINED, **OPTIONS).modalities
    assert result.moved == 0.0
    assert all(torch.equal(model.get_adapter_state_dict()[name], value) for name, value in before.items())


def test_an_adapter_that_comes_to_another_precision_warns_until_it_is_recalibrated(tmp_path):
    model, processor = built("llava")
    fit(model, processor, people(2), RETAINED, **{**FAST, "harden_pictures": False})
    assert model.peft_config["default"].base_precision == "float32"
    model.save_pretrained(tmp_path / "full")
    half = built("llava")[0].to(torch.bfloat16)
    with pytest.warns(UserWarning, match="in float32, this model is in bfloat16.*hf-eraser recalibrate"):
        half.load_adapter(tmp_path / "full")
    recalibrate(half, processor, RETAINED, **OPTIONS)
    half.save_pretrained(tmp_path / "half")
    other = built("llava")[0].to(torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other.load_adapter(tmp_path / "half")
    assert torch.equal(bounds_of_gate(other), bounds_of_gate(half))


def bounds_of_gate(model) -> torch.Tensor:
    return adapter_parts(model, "default")[2, "steering_gate_bounds"]


def test_what_has_no_thresholds_is_refused():
    model, processor = steered(gate="linear")
    with pytest.raises(ValueError, match="'linear': only 'calibrated' has thresholds"):
        recalibrate(model, processor, RETAINED, **OPTIONS)
    with pytest.raises(ValueError, match="`adapter_name`='other' is no steering adapter"):
        recalibrate(model, processor, RETAINED, adapter_name="other", **OPTIONS)
    with pytest.raises(ValueError, match="`alpha` must be a number"):
        recalibrate(model, processor, RETAINED, alpha=1.0)

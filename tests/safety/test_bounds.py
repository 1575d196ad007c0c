"""No admitted adapter, nor any number of them together, makes NaN of a finite base; what harms is named."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_eraser import SteeringAdapterConfig
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.hub.inspection import inspect_adapter
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.gate import gate_values
from hf_eraser.tuner.layer import with_room
from hf_eraser.tuner.layout import adapter_layout
from hf_eraser.tuner.tensor_values import check_bounds, check_values
from tests.conftest import built
from tests.helpers.adapters import PROMPTS, attach, batch_of, logits


HALF = (torch.float16, torch.bfloat16)


def largest_adapter(model: Any, name: str, sign: float = 1.0, one: bool = False, **config: Any) -> None:
    """An adapter whose numbers are as large as they may be, and whose gates are open for everything."""
    values = {"layers_to_transform": [1, 2, 3, 4, 5], "gate_layer": 0, "strength": 256.0, "rank": 4, **config}
    adapter, decoder = SteeringAdapterConfig(**values), find_decoder(model)
    tensors = {}
    for tensor in adapter_layout(decoder.names, decoder.hidden_size, adapter):
        if tensor.kind == "steering_direction":
            value = torch.full(tensor.shape, sign * 65504 / 256 / tensor.shape[-1] ** 0.5 * 0.999)
            if one:
                value = torch.zeros(tensor.shape)
                value[:, 7] = sign * 65504 / 256
        elif tensor.kind == "steering_gate_weight":
            value = torch.full(tensor.shape, 65504.0)
        else:
            value = torch.tensor([-1e30, -1e29]).expand(tensor.shape).clone()
        tensors[tensor.file_name] = value
    attach_fitted(model, adapter, tensors, name)


@pytest.mark.parametrize("gate", ["always", "calibrated", "linear"])
@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl"])
def test_sum_of_the_largest_adapters_is_finite(name, dtype, gate):
    model, processor = built(name)
    inputs = batch_of(model, processor, PROMPTS)
    model = model.to(dtype)
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    assert logits(model, inputs).isfinite().all()
    names = [f"number{i}" for i in range(5)]
    for i, adapter in enumerate(names):
        positions = "last" if i % 2 else "prompt"
        largest_adapter(model, adapter, one=i > 2, gate=gate, positions=positions)
    model.set_adapter(names)
    assert logits(model, inputs).isfinite().all()
    generated = model.generate(
        **inputs, max_new_tokens=3, do_sample=False, output_logits=True, return_dict_in_generate=True
    )
    assert all(step.isfinite().all() for step in generated.logits)


@pytest.mark.parametrize("dtype", [*HALF, torch.float32])
def test_where_no_gate_opens_the_bits_are_the_base_s(dtype):
    model, processor = built("llava")
    inputs = batch_of(model, processor, PROMPTS)
    model = model.to(dtype)
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    base = logits(model, inputs)
    attach(model, low=1e6, high=2e6)
    assert torch.equal(logits(model, inputs), base)


@given(
    st.lists(st.floats(width=16, allow_nan=False, allow_infinity=False), min_size=4, max_size=4),
    st.lists(st.floats(width=16, allow_nan=False), min_size=4, max_size=4),
)
@settings(max_examples=300)
def test_stream_has_room_and_keeps_what_nothing_was_added_to(base, shift):
    before, added = torch.tensor([base], dtype=torch.float16), torch.tensor([shift], dtype=torch.float16)
    assert torch.equal(with_room(before, before), before)
    after = with_room(before + added, before)
    assert after.isfinite().all()
    assert (after.abs() <= before.abs().clamp(min=4094)).all()


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_stream_that_is_not_finite_by_itself_stays_so(value):
    before = torch.tensor([[value, 1.0]], dtype=torch.float16)
    assert torch.equal(with_room(before, before).nan_to_num(7.0), before.nan_to_num(7.0))


@given(st.floats(width=32), st.floats(width=32))
@settings(max_examples=500)
def test_admitted_bounds_never_make_nan_of_a_score(low, high):
    """With and without numbers below 1.2e-38 taken for 0."""
    bounds = torch.tensor([low, high]).expand(2, 1, 2).clone()
    try:
        check_bounds("bounds", bounds)
    except ValueError:
        return
    scores = torch.tensor([[-3e38], [-1e30], [0.0], [low if abs(low) < 1e38 else 1.0], [1e-40], [1e30], [3e38]])
    for flushed in (False, True):
        torch.set_flush_denormal(flushed)
        try:
            for mode in ("calibrated", "linear"):
                gate = gate_values(scores, torch.zeros(len(scores), dtype=torch.bool), bounds, mode)
                assert gate.isfinite().all()
        finally:
            torch.set_flush_denormal(False)


def test_bounds_that_differ_by_what_a_processor_may_take_for_nothing_are_refused():
    with pytest.raises(ValueError, match="low < high"):
        check_bounds("bounds", torch.tensor([0.0, 1e-40]).expand(2, 1, 2))


def test_direction_is_bounded_by_its_norm_as_well():
    check_values("d", "steering_direction", torch.full((1, 4), 3e4), 1.0)
    with pytest.raises(ValueError, match="norm"):
        check_values("d", "steering_direction", torch.full((1, 4), 6e4), 1.0)


def test_sum_of_weighted_adapters_is_bounded(llava):
    from peft import PeftModel

    model = llava[0]
    attach(model)
    config = model.peft_config["default"]
    model.delete_adapter("default")
    peft_model = PeftModel(model, config)
    attach(peft_model, "second")
    with pytest.raises(ValueError, match=r"at most 6\.55e"):
        peft_model.base_model.add_weighted_adapter(["second", "second"], [1e6, 1.0], "sum")
    assert set(peft_model.peft_config) == {"default", "second"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"gate": "always"}, "always open"),
        ({"low": -5.0, "high": -4.0}, "opens from a score of -5"),
        ({"strength": 200.0}, "strength is 200"),
        ({"rank": 100}, "100 directions"),
    ],
)
def test_inspect_names_what_no_fit_makes(config, said, llava, tmp_path):
    model = llava[0]
    attach(model, **config)
    model.save_pretrained(tmp_path)
    inspection = inspect_adapter(tmp_path)
    assert any(said in one for one in inspection.unusual)
    assert f"UNUSUAL   {inspection.unusual[0]}" in str(inspection)


def test_inspect_compares_directions_with_the_residual_stream_of_the_report(llava, tmp_path):
    model = llava[0]
    attach(model)
    model.save_pretrained(tmp_path)
    assert inspect_adapter(tmp_path).unusual == []
    (tmp_path / "report.json").write_text('{"direction_norms": {"2": 0.1, "4": 1000.0}}')
    (found,) = inspect_adapter(tmp_path).unusual
    assert "on layer 2" in found
    assert "times the residual stream" in found

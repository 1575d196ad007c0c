"""Quantised base models: they are fitted on, take adapters of full precision and say so, and recalibrate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, TorchAoConfig

from hf_eraser import fit
from hf_eraser.fitting import recalibrate
from hf_eraser.hub.base_model import precision_of
from tests.conftest import built
from tests.fitting.test_fit import FAST, people


RETAINED = people(8, start=10)

Load = Callable[[str], Any]


def load(folder: str, configuration: Any) -> Any:
    return AutoModelForImageTextToText.from_pretrained(
        folder, quantization_config=configuration, device_map="cpu", dtype=torch.float32
    ).eval()


def torchao(name: str, **options: Any) -> Load:
    def loaded(folder: str) -> Any:
        library = pytest.importorskip("torchao.quantization")
        return load(folder, TorchAoConfig(getattr(library, name)(**options)))

    return loaded


def bitsandbytes(**options: Any) -> Load:
    def loaded(folder: str) -> Any:
        pytest.importorskip("bitsandbytes")
        model = load(folder, BitsAndBytesConfig(**options))
        for module in model.modules():
            # Where the processor has bfloat16, this path takes only widths that are multiples of 64.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        return model

    return loaded


def in_place(folder: str) -> Any:
    """After it was loaded, of which the model's configuration says nothing."""
    library = pytest.importorskip("torchao.quantization")
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    library.quantize_(model, library.IntxWeightOnlyConfig(weight_dtype=torch.int4))
    return model


KINDS: dict[str, tuple[Load, str]] = {
    "torchao int4, in place": (in_place, "float32, IntxUnpackedToInt8Tensor int4"),
    "torchao int8": (torchao("Int8WeightOnlyConfig"), "float32, torchao .*Int8WeightOnlyConfig"),
    "torchao int4": (torchao("IntxWeightOnlyConfig", weight_dtype=torch.int4), "torchao .*IntxWeightOnlyConfig int4"),
    "bitsandbytes int8": (bitsandbytes(load_in_8bit=True), "float32, bitsandbytes 8 bit"),
    "bitsandbytes nf4": (
        bitsandbytes(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        "float32, bitsandbytes 4 bit nf4",
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A base model in float32, and an adapter that was fitted on it."""
    folder = tmp_path_factory.mktemp("quantised")
    model, processor = built("llava")
    model.save_pretrained(folder / "base")
    fit(model, processor, people(2), RETAINED, **{**FAST, "harden_pictures": False})
    model.save_pretrained(folder / "adapter")
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_of_full_precision_warns_on_a_quantised_base_until_it_is_recalibrated(kind, folders, tmp_path):
    quantised, named = KINDS[kind]
    model, processor = quantised(str(folders / "base")), built("llava")[1]
    with pytest.warns(UserWarning, match=f"are for a base model in float32, this model is in .*{named}"):
        model.load_adapter(str(folders / "adapter"))
    recalibrate(model, processor, RETAINED, forget=people(2), general=False, alpha=0.2, batch_size=32)
    model.save_pretrained(tmp_path / "recalibrated")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*thresholds are for.*")
        quantised(str(folders / "base")).load_adapter(str(tmp_path / "recalibrated"))
    # And back, it is the other way round.
    with pytest.warns(UserWarning, match=f"are for a base model in .*{named}.*, this model is in float32"):
        built("llava")[0].load_adapter(str(tmp_path / "recalibrated"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_quantised_base_is_fitted_on_and_steered_and_stays_as_it_is(kind, folders):
    model, processor = KINDS[kind][0](str(folders / "base")), built("llava")[1]
    shown = people(1)[0]
    inputs = processor(text="<image>\n" + shown["prompt"], images=shown["image"], return_tensors="pt")
    before = model(**inputs).logits
    report = fit(model, processor, people(2), RETAINED, **{**FAST, "harden_pictures": False, "strength": 4.0})
    assert report.layers == [3, 4]
    assert precision_of(model) == model.peft_config["default"].base_precision != "float32"
    assert not torch.equal(model(**inputs).logits, before)
    with model.disable_adapter():
        assert torch.equal(model(**inputs).logits, before)


@pytest.mark.parametrize(
    ("configuration", "named"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "float32, gptq 4 bit group 128"),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "float32, gptq 8 bit group -1"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64, "version": "gemm"}, "float32, awq 4 bit group 64"),
        ({"quant_method": "quanto", "weights": "int8", "activations": None}, "float32, quanto int8"),
        ({"quant_method": "quanto", "weights": "int4", "modules_to_not_convert": ["x"]}, "float32, quanto int4"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"0": {"weights": {"num_bits": 4}}}},
            "float32, compressed-tensors 4",
        ),
        (None, "float32"),
    ],
)
def test_what_a_model_computes_in_is_told_apart_by_what_its_configuration_says(configuration, named):
    model, _ = built("llava")
    if configuration is not None:
        model.config.quantization_config = configuration
    assert precision_of(model) == named


def test_weights_say_what_the_configuration_does_not():
    model, _ = built("llava")
    layer = model.model.language_model.layers[0]
    layer.register_buffer("causal_mask", torch.ones(2, 2, dtype=torch.bool))
    assert precision_of(model) == "float32"
    layer.register_buffer("packed_weight", torch.ones(2, 2, dtype=torch.int32))
    assert precision_of(model) == "float32, int32"


class NoGradient(torch.autograd.Function):
    """As a kernel that is written for inference alone."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor) -> torch.Tensor:
        return hidden.clone()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("no backward")


@pytest.mark.parametrize("detached", [False, True])
def test_a_base_without_gradients_names_what_to_give(detached):
    model, processor = built("llava")

    def without_gradient(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        return output.detach() if detached else NoGradient.apply(output)

    model.model.language_model.norm.register_forward_hook(without_gradient)
    with pytest.raises(ValueError, match=r"gives no gradient.*`refusal` examples that it does refuse"):
        fit(model, processor, people(2), RETAINED, **{**FAST, "harden_pictures": False})
    assert not getattr(model, "peft_config", {})

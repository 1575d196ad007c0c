"""What a configuration accepts, and how it is resolved for a decoder."""

from __future__ import annotations

import pickle

import pytest
from peft import PeftConfig, PeftType

from hf_eraser import SteeringAdapterConfig
from hf_eraser.registration import register


def test_peft_knows_the_method():
    register()  # a second time
    assert PeftType("STEERING") is PeftType["STEERING"] is PeftType.STEERING
    assert pickle.loads(pickle.dumps(PeftType.STEERING)) is PeftType.STEERING
    assert "STEERING" in list(PeftType)


def test_config_survives_saving_and_loading(tmp_path):
    config = SteeringAdapterConfig(layers_to_transform=[3, -1], gate_layer=2, readout="image", strength=0.5, rank=2)
    config.save_pretrained(tmp_path)
    loaded = PeftConfig.from_pretrained(tmp_path)
    assert type(loaded) is SteeringAdapterConfig
    assert loaded.to_dict() == config.to_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"readout": "first"}, "`readout` must be one of"),
        ({"gate": "open"}, "`gate` must be one of"),
        ({"strength": -1}, "`strength` must be"),
        ({"strength": float("nan")}, "`strength` must be"),
        ({"rank": 0}, "`rank` must be"),
        ({"layers_to_transform": []}, "`layers_to_transform` must be"),
        ({"layers_to_transform": "last"}, "`layers_to_transform` must be"),
        ({"layers_to_transform": [1, 1]}, "twice"),
        ({"gate_layer": "each"}, "`gate_layer` must be"),
    ],
)
def test_bad_value_names_the_argument(arguments, message):
    with pytest.raises(ValueError, match=message):
        SteeringAdapterConfig(**arguments)


def test_layers_are_counted_from_the_end_and_default_to_all_from_the_gate_on():
    def resolve(**arguments):
        return SteeringAdapterConfig(**arguments).resolved(hidden_size=8, num_hidden_layers=6)

    assert resolve(layers_to_transform=[-1, 2], gate_layer=-5).layers_to_transform == [2, 5]
    assert resolve(gate_layer=4).layers_to_transform == [4, 5]
    assert resolve().layers_to_transform == list(range(6))
    assert resolve(layers_to_transform=3).layers_to_transform == [3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers_to_transform": [6]}, "layer 6, the decoder has layers 0 to 5"),
        ({"gate_layer": -7}, "layer -7"),
        ({"layers_to_transform": [1], "gate_layer": 2}, "comes before"),
        ({"hidden_size": 9}, "hidden_size=9"),
        ({"num_hidden_layers": 5}, "num_hidden_layers=5"),
    ],
)
def test_what_does_not_fit_the_decoder_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SteeringAdapterConfig(**arguments).resolved(hidden_size=8, num_hidden_layers=6)

"""
Raw linear gate, calibrated gate and no gate at all, for each readout.

Directions, steered layers, strength and the layer that the gate reads are what `fit` chooses once for each model, so
that only the gate differs. Each gate is fitted as `fit` does for that readout and mode. Without a picture, `image` and
`text` mean `prompt`: those gates are the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from benchmarks.markdown import MODEL_NAMES, pair, table
from benchmarks.remembering_source import RememberingSource, gate_source
from benchmarks.result import Result
from examples.small.forgetting import fit_forgetting, forgetting_examples, measure, pooled_as_data, pooled_by_modality
from examples.small.load import load_small_model
from hf_eraser.fitting.gates.choosing import choose_gates
from hf_eraser.fitting.gates.delivering import GateTensors, gate_tensors
from hf_eraser.fitting.gates.solving import RIDGES
from hf_eraser.fitting.gates.trying import judge_gates
from hf_eraser.fitting.reading.rewording import ATTACKS
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.tuner.config import SteeringAdapterConfig
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.fields import READOUTS, GateMode, Readout


def gates_of(
    source: RememberingSource, hidden_size: int, layer: int
) -> Iterator[tuple[GateMode, Readout, GateTensors]]:
    """The gates at a layer, raw and calibrated, for each readout."""
    modes: tuple[GateMode, ...] = ("linear", "calibrated")
    for mode in modes:
        for readout in READOUTS:
            fitted = judge_gates(
                source,
                layers=[layer],
                readouts=[readout],
                parameter="ridge",
                values=RIDGES,
                hidden_size=hidden_size,
                alpha=0.05,
                general_alpha=0.001,
                centred=mode != "linear",
            )
            chosen = choose_gates(fitted.judged, each=False)
            yield mode, readout, gate_tensors(chosen, fitted, gate=mode, hidden_size=hidden_size)


def replace_gates(tensors: dict[str, Tensor], gates: GateTensors, layer: int) -> dict[str, Tensor]:
    """An adapter's tensors with other gates, all at one layer."""
    replaced = {"steering_gate_weight": gates.weight[layer], "steering_gate_bounds": gates.bounds[layer]}
    directions = {name: tensor for name, tensor in tensors.items() if "steering_direction" in name}
    return directions | {
        f"{name.partition('.layers.')[0]}.layers.{layer}.{kind}": value
        for name in list(directions)[:1]
        for kind, value in replaced.items()
    }


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Measure with each gate in place of the one that was fitted."""
    model, processor = load_small_model(model_name)
    report = fit_forgetting(model, processor, by_person=False, seed=configuration["seed"])
    print(report, flush=True)
    layer = report.gate_layer
    assert layer is not None
    config: Any = model.peft_config["default"]
    tensors = model.get_adapter_state_dict()
    examples = forgetting_examples(by_person=False)
    source = gate_source(model, processor, examples["forget"], examples["retain"], attacks=ATTACKS)
    tried: list[tuple[str, SteeringAdapterConfig, dict[str, Tensor]]] = []
    for mode, readout, gates in gates_of(source, find_decoder(model).hidden_size, layer):
        row = dataclasses.replace(
            config, gate=mode, text_gate_layer=None, readout=gates.readout, text_readout=gates.text_readout
        )
        tried.append((readout, row, replace_gates(tensors, gates, layer)))
    _, row, of_row = tried[0]
    tried.insert(0, ("none", dataclasses.replace(row, gate="always"), of_row))
    rows = []
    for reads, row, of_row in tried:
        model.delete_adapter("default")
        attach_fitted(model, row, of_row, "default")
        found = pooled_by_modality(measure(model, processor, retained_per_fact=configuration["retained_per_fact"]))
        rows.append({"gate": row.gate, "readout": reads, **pooled_as_data(found)})
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## The gate's mode, by readout",
        "Everything else is the same: one gate for all four people, and directions, layers and strength as `fit` "
        "chose them. In each cell: with a picture / by text alone. Without a picture, `image` and `text` mean "
        "`prompt`.",
    ]
    columns = ("gate", "readout", "forgotten, still given", "refused", "retained, right", "same text", "bit-identical")
    for model, result in results.items():
        cells = [
            (
                row["gate"],
                row["readout"],
                *(pair(one[share] for one in row["forgotten"]) for share in ("right_after", "refused")),
                *(
                    pair(one[share] for one in row["retained"])
                    for share in ("right_after", "same_text", "same_logits")
                ),
            )
            for row in result.figures["rows"]
        ]
        parts += [f"### {MODEL_NAMES[model]}", table(columns, cells, left=2)]
    return "\n\n".join(parts)

"""
Raw linear gate, calibrated gate and no gate at all, for each readout.

    python -m examples.gate_modes
    python -m examples.gate_modes --models llava

Directions, steered layers, strength and the layer that the gate reads are what `fit` chooses once for each model, so
that only the gate differs. Each gate is fitted as `fit` does for that readout and mode. Without a picture, `image` and
`text` mean `prompt`: those gates are the same. About 4 minutes for each model on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hf_eraser.fitting.gates.choosing import GateTensors, choose_gates, gate_tensors, judge_gates
from hf_eraser.fitting.gates.solving import RIDGES
from hf_eraser.fitting.reading.rewording import ATTACKS
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.tuner.config import READOUTS, GateMode, Readout, SteeringAdapterConfig
from hf_eraser.tuner.decoder import find_decoder

from .small.forgetting import fit_forgetting, forgetting_examples, measure, pooled_by_modality
from .small.load import SMALL_MODELS, load_small_model
from .small.sources import RememberingSource, gate_source


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
                centred=mode != "linear",
            )
            chosen = choose_gates(fitted.judged, each=False)
            yield mode, readout, gate_tensors(chosen, fitted, gate=mode, hidden_size=hidden_size)


def measured(model: Any, processor: Any) -> str:
    """The cells of a row; each holds what was asked with a picture, then what was asked by text alone."""
    found = pooled_by_modality(measure(model, processor, retained_per_fact=1))
    columns = [
        *((found["forgotten"], share) for share in ("right_after", "refused")),
        *((found["retained"], share) for share in ("right_after", "same_text", "same_logits")),
    ]
    return " | ".join(" / ".join(f"{getattr(row, share):.1%}" for row in rows) for rows, share in columns)


def replace_gates(tensors: dict[str, Tensor], gates: GateTensors, layer: int) -> dict[str, Tensor]:
    """An adapter's tensors with other gates at its gate layer."""
    replaced = {"steering_gate_weight": gates.weight[layer], "steering_gate_bounds": gates.bounds[layer]}
    return {
        name: next((value for kind, value in replaced.items() if kind in name), tensor)
        for name, tensor in tensors.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SMALL_MODELS, default=SMALL_MODELS, help="default: both")
    for name in parser.parse_args().models:
        model, processor = load_small_model(name)
        report = fit_forgetting(model, processor, by_person=False)
        layer = report.gate_layer
        assert layer is not None
        config: Any = model.peft_config["default"]
        tensors = model.get_adapter_state_dict()
        examples = forgetting_examples(by_person=False)
        source = gate_source(model, processor, examples["forget"], examples["retain"], attacks=ATTACKS)
        rows: list[tuple[str, SteeringAdapterConfig, dict[str, Tensor]]]
        rows = [("none", dataclasses.replace(config, gate="always"), tensors)]
        for mode, readout, gates in gates_of(source, find_decoder(model).hidden_size, layer):
            row = dataclasses.replace(config, gate=mode, readout=gates.readout, text_readout=gates.text_readout)
            rows.append((readout, row, replace_gates(tensors, gates, layer)))
        print(f"\n{report}\n\n### {name}\n\nIn each cell: with a picture / by text alone.\n")
        print("| gate | readout | forgotten, still given | refused | retained, right | same text | bit-identical |")
        print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
        for reads, row, of_row in rows:
            model.delete_adapter("default")
            attach_fitted(model, row, of_row, "default")
            print(f"| {row.gate} | {reads} | {measured(model, processor)} |", flush=True)


if __name__ == "__main__":
    main()

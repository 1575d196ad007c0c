"""
An adapter that was fitted in float32, on its base model in other precisions: how far scores move, how many decisions
change, and what is still refused, before and after recalibration; and adapters that were fitted there.

Half of the questions that are for measuring recalibrate, the others are measured.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, BitsAndBytesConfig, TorchAoConfig

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.measuring import gates_of
from benchmarks.result import Result
from examples.small.forgetting import FORGOTTEN, fit_forgetting
from examples.small.load import load_small_model, model_dir
from examples.small.people import PEOPLE
from examples.small.questions import questions
from hf_eraser.data import Example, read_examples
from hf_eraser.evaluation import compare, is_refusal
from hf_eraser.fitting import recalibrate
from hf_eraser.fitting.reading.capture import capture
from hf_eraser.fitting.steering.openness import openness
from hf_eraser.hub.base_model import precision_of


def load_as(model_name: str, kind: str) -> Any:
    """A small model in another precision."""
    options: dict[str, Any] = {"dtype": torch.float32, "device_map": "cpu"}
    if kind == "bfloat16":
        options["dtype"] = torch.bfloat16
    elif kind.startswith("torchao"):
        from torchao.quantization import Int8WeightOnlyConfig, IntxWeightOnlyConfig

        int4: Any = vars(torch)["int4"]  # which torch's types do not know
        how = Int8WeightOnlyConfig() if kind == "torchao int8" else IntxWeightOnlyConfig(weight_dtype=int4)
        options["quantization_config"] = TorchAoConfig(how)
    else:
        how = {"load_in_8bit": True} if kind.endswith("int8") else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
        options["quantization_config"] = BitsAndBytesConfig(**how)
    model = AutoModelForImageTextToText.from_pretrained(model_dir(model_name), **options).eval()
    for module in model.modules():
        # Where the processor has bfloat16, this path of bitsandbytes takes only widths that are multiples of 64.
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def asked(per_fact: int) -> dict[str, list[dict[str, Any]]]:
    """Questions for measuring, about those who are forgotten and about all else."""
    others = sorted({q.group for q in questions("measure", per_fact=1)} - {*FORGOTTEN})
    known = ["person_image", "public_image", "person_text", "public_text"]
    sets = {
        "forget": questions("measure", kinds=known, groups=FORGOTTEN, per_fact=2 * per_fact),
        "retain": questions("measure", kinds=[*known, "picture", "general"], groups=others, per_fact=per_fact),
    }
    return {name: [question.example() for question in of] for name, of in sets.items()}


def above(model: Any, processor: Any, examples: Sequence[Example]) -> torch.Tensor:
    """How far each example is above the lower bound of the gate that is open farthest; 1 is at the upper one."""
    config, gates = next(iter(model.peft_config.values())), gates_of(model)
    found = torch.empty(len(examples), dtype=torch.float64)
    layers = sorted(gates.weight)
    for batch in capture(model, processor, examples, layers=layers, batch_size=32, description="Reading the gate"):
        found[batch.indices] = openness(batch.sums, config, gates).double().cpu()
    return found


def measured(
    model: Any, processor: Any, sets: Mapping[str, list[Example]], full: Mapping[str, torch.Tensor]
) -> dict[str, Any]:
    """What an adapter does here, and how its decisions differ from those in float32."""
    row: dict[str, Any] = {"precision": precision_of(model)}
    for name, examples in sets.items():
        scores = above(model, processor, examples)
        compared = compare(model, processor, examples, batch_size=64, max_new_tokens=16)
        row[name] = {
            "count": len(examples),
            "moved": float((scores - full[name]).abs().median()) if name in full else 0.0,
            "changed": float(((scores > 0) != (full[name] > 0)).double().mean()) if name in full else 0.0,
            "steered": float((scores > 0).double().mean()),
            "refused": sum(is_refusal(c.after) for c in compared) / len(compared),
            "same_text": sum(c.before == c.after for c in compared) / len(compared),
        }
    return row


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit in float32, load onto each precision, recalibrate, and fit on some of them."""
    every = asked(configuration["per_fact"])
    sets = {name: read_examples(of[::2], name) for name, of in every.items()}
    apart = {name: of[1::2] for name, of in every.items()}
    fitting: dict[str, Any] = {"harden_pictures": False, "seed": configuration["seed"], "prefer": "retain"}
    model, processor = load_small_model(model_name)
    fit_forgetting(model, processor, **fitting)
    full = {name: above(model, processor, of) for name, of in sets.items()}
    rows = [{"kind": "float32", "adapter": "fitted here", **measured(model, processor, sets, full)}]
    with tempfile.TemporaryDirectory() as folder:
        adapter = str(Path(folder, "adapter"))
        model.save_pretrained(adapter)
        for kind in configuration["kinds"]:
            model = load_as(model_name, kind)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.load_adapter(adapter)
                rows.append({"kind": kind, "adapter": "of float32", **measured(model, processor, sets, full)})
                recalibrate(model, processor, apart["retain"], forget=apart["forget"], general=False, batch_size=32)
            rows.append({"kind": kind, "adapter": "recalibrated", **measured(model, processor, sets, full)})
            print(*rows[-2:], sep="\n", flush=True)
            if kind in configuration["fitted_on"]:
                model = load_as(model_name, kind)
                fit_forgetting(model, processor, **fitting)
                rows.append({"kind": kind, "adapter": "fitted here", **measured(model, processor, sets, {})})
                print(rows[-1], flush=True)
    return {"rows": rows}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    retained = next(iter(results.values())).figures["rows"][0]["retain"]["count"]
    parts = [
        "## Precisions of the base model",
        f"People are forgotten by an adapter that was fitted in float32; the same on {retained} questions about all "
        f"else, of which {len(PEOPLE) - len(FORGOTTEN)} other people are a part. Scores moved by this median share of "
        "the distance between a gate's bounds, and of the decisions these changed.",
    ]
    columns = (
        "precision",
        "adapter",
        "scores moved: forget, retain",
        "decisions changed: forget, retain",
        "forgotten, refused",
        "all else, steered",
        "all else, same text",
    )
    for model, result in results.items():
        cells = []
        for row in result.figures["rows"]:
            forget, retain = row["forget"], row["retain"]
            own = row["adapter"] == "fitted here"
            cells.append(
                (
                    row["kind"],
                    row["adapter"],
                    "" if own else f"{forget['moved']:.2f}, {retain['moved']:.2f}",
                    "" if own else f"{percent(forget['changed'])}, {percent(retain['changed'])}",
                    percent(forget["refused"]),
                    percent(retain["steered"]),
                    percent(retain["same_text"]),
                )
            )
        parts += [f"### {MODEL_NAMES[model]}", table(columns, cells, left=2)]
    return "\n\n".join(parts)

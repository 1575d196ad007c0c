"""
Whom an adapter forgets, as read from its published file: with candidates, and from all words that the model has.

What might lower it is measured beside it: gate weights rounded to 8 bits, and invented people who are forgotten too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.forgetting import fit_forgetting, forgetting_examples
from examples.small.load import load_small_model
from examples.small.people import PEOPLE, draw_face
from examples.small.questions import questions
from hf_eraser.data import encode, read_examples
from hf_eraser.data.encoding import batches
from hf_eraser.evaluation.probing import STRANGERS
from hf_eraser.fitting.steering.attaching import attach_fitted
from hf_eraser.tuner.explain import gate_decisions


#: What whoever has the file asks about a candidate.
GUESSES = ("Tell me about {}.", "{}")


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit each set, and read its names from the adapter in each form."""
    rows = []
    for people in configuration["sets"]:
        names = [PEOPLE[i].name for i in people]
        for form, model, processor in _forms(model_name, names, configuration):
            rows.append({"people": list(people), "form": form, **told(model, processor, names)})
            print(rows[-1], flush=True)
    return {"rows": rows}


def told(model: Any, processor: Any, names: Sequence[str]) -> dict[str, Any]:
    """What the gates tell of names, and whether they still do what they are for."""
    guesses = {way: [{"prompt": way.format(person.name)} for person in PEOPLE] for way in GUESSES}
    faces: list[dict[str, Any]] = [{"prompt": "Who is this?", "image": draw_face(person)} for person in PEOPLE]
    forgotten = [person.name in names for person in PEOPLE]
    auc = {
        what: _auc([score for score, _ in _scores(model, processor, asked)], forgotten)
        for what, asked in {"face": faces, **guesses}.items()
    }
    words = _words(processor)
    scores = [score for score, _ in _scores(model, processor, [{"prompt": GUESSES[0].format(word)} for word in words])]
    ranks = {
        part: 1 + sum(score > scores[words.index(part)] for score in scores) for name in names for part in name.split()
    }
    asked = questions("measure", kinds=["person_image", "person_text"], per_fact=1)
    opened = [is_open for _, is_open in _scores(model, processor, [question.example() for question in asked])]
    return {
        "auc": auc,
        "words": len(words),
        "ranks": sorted(ranks.values()),
        "forgotten_steered": mean(o for o, question in zip(opened, asked) if question.group in names),
        "retained_steered": mean(o for o, question in zip(opened, asked) if question.group not in names),
    }


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## Whom a published adapter names",
        "The gates' scores for all forty people, asked as who has the file would ask, with the probability that a "
        "forgotten one scores above another (AUC); and the ranks that first and family names of the forgotten have "
        "when each word of the tokenizer is asked about. *Rounded*: gate weights in 8 bits. *Decoys*: invented "
        "people are forgotten beside them. Neither pays, so `fit` does neither: rounding changes nothing, and decoys "
        "leave the names among the first and cost forgetting. A gate has to open for whom it is for, and whoever has "
        "the file can see that it does.",
    ]
    columns = (
        *("form", "AUC, face", "AUC, asked about", "AUC, bare name", "median rank", "best rank", "of words"),
        *("forgotten steered", "retained steered"),
    )
    for model, result in results.items():
        forms = list(dict.fromkeys(row["form"] for row in result.figures["rows"]))
        cells = []
        for form in forms:
            rows = [row for row in result.figures["rows"] if row["form"] == form]
            ranks = [rank for row in rows for rank in row["ranks"]]
            cells.append(
                (
                    form,
                    *(f"{mean(row['auc'][what] for row in rows):.3f}" for what in ("face", *GUESSES)),
                    f"{median(ranks):.0f}",
                    min(ranks),
                    rows[0]["words"],
                    *(percent(mean(row[what] for row in rows)) for what in ("forgotten_steered", "retained_steered")),
                )
            )
        parts += [f"### {MODEL_NAMES[model]}", table(columns, cells, left=1)]
    return "\n\n".join(parts)


def _forms(model_name: str, names: Sequence[str], configuration: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The adapter as it is fitted, and in forms that might tell less."""
    options = {"seed": configuration["seed"]}
    model, processor = load_small_model(model_name)
    fit_forgetting(model, processor, names, **options)
    yield "as fitted", model, processor
    config: Any = model.peft_config["default"]
    tensors = model.get_adapter_state_dict()
    model.delete_adapter("default")
    attach_fitted(model, config, {name: _rounded(name, tensor) for name, tensor in tensors.items()}, "default")
    yield "rounded", model, processor
    model.delete_adapter("default")
    examples = forgetting_examples(names)
    by_name = [e for e in examples["forget"] if e["group"] == names[0] and "image" not in e]
    decoys = [
        {key: value.replace(names[0], decoy) for key, value in example.items() if key != "answer"}
        for decoy in STRANGERS[: configuration["decoys"]]
        for example in by_name
    ]
    fit_forgetting(model, processor, names, forget=[*examples["forget"], *decoys], prefer="retain", **options)
    yield f"{configuration['decoys']} decoys", model, processor


def _rounded(name: str, tensor: Tensor) -> Tensor:
    """Gate weights in 8 bits, a scale for each gate."""
    if "gate_weight" not in name:
        return tensor
    scale = tensor.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(tensor.dtype).tiny) / 127
    return (tensor / scale).round() * scale


def _scores(model: Any, processor: Any, asked: Sequence[Mapping[str, Any]]) -> list[tuple[float, bool]]:
    """For each prompt the highest score of any gate, and whether one opens."""
    examples = read_examples(asked, "asked")
    found: list[tuple[float, bool]] = [(0.0, False)] * len(examples)
    for indices in batches(examples, 64):
        inputs = encode(processor, [examples[i] for i in indices], model.device)
        for i, row in zip(indices, gate_decisions(model, inputs)):
            gates = [gate for of_adapter in row.values() for gate in of_adapter]
            found[i] = max(gate.score for gate in gates), any(gate.is_open for gate in gates)
    return found


def _auc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    above = [score for score, is_one in zip(scores, positive) if is_one]
    below = [score for score, is_one in zip(scores, positive) if not is_one]
    return mean((one > other) + 0.5 * (one == other) for one in above for other in below)


def _words(processor: Any) -> list[str]:
    """Every word of the tokenizer's that is written in letters, and the parts of all people's names."""
    tokens = {token.lstrip("Ġ▁ ") for token in processor.tokenizer.get_vocab()}
    parts = {part for person in PEOPLE for part in person.name.split()}
    return sorted({token for token in tokens if token.isalpha() and len(token) > 1} | parts)

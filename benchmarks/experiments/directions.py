"""
What makes a good erasure direction: which examples, with or without a picture, perturbed or not, and which method.

All rows of a model have the same gate, bit for bit, so that only the directions differ; the strength is chosen for
each as `fit` does. Directions lead from recall to refusal examples. The latter are private questions about the
forgotten people. Recall examples are one of

- *answered*: other questions about the same people, which the model answers, as in the default of `fit`;
- *clean*: private questions about other people, which the model refuses as well: there is no refusal to find;
- *perturbed*: those with their pictures perturbed until the model answers, as `fit(..., adversarial=PGD(...))` does
  (the paper). Without a picture there is nothing to perturb.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from benchmarks.markdown import MODEL_NAMES, pair, percent, table
from benchmarks.result import Result
from examples.small.forgetting import FORGOTTEN, fit_forgetting, measure, pooled_as_data, pooled_by_modality
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from examples.small.questions import PUBLIC, REFUSAL, Fact, ask, facts, picture_of, wordings
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers
from hf_eraser.fitting import PGD, perturb


Examples = list[dict[str, Any]]

# Recall examples, which of them are used, and how a direction is made of them.
_ROWS = [
    *(("answered", contrast, "difference_of_means") for contrast in ("text", "image", "both")),
    *(("clean", contrast, "difference_of_means") for contrast in ("text", "image", "both")),
    *(("perturbed", contrast, "difference_of_means") for contrast in ("image", "both")),
    *((recall, "both", "paired_pca") for recall in ("answered", "clean", "perturbed")),
]


def contrasts() -> tuple[Examples, dict[str, Examples]]:
    """Refusal examples, and recall examples of the kinds that need no model; those at one position are a pair."""
    by_subject: dict[tuple[str, str], list[Fact]] = {}
    targets: dict[str, list[str]] = {}
    for fact in facts():
        by_subject.setdefault((fact.kind, fact.group), []).append(fact)
        if fact.kind == "public_image":
            targets.setdefault(fact.attribute, []).append(fact.answer)
    others = itertools.cycle(person.name for person in PEOPLE if person.name not in {*PUBLIC, *FORGOTTEN})
    refusal: Examples = []
    recall: dict[str, Examples] = {"answered": [], "clean": []}
    for modality in ("image", "text"):
        for name in FORGOTTEN:
            answered = itertools.cycle(by_subject[f"person_{modality}", name])
            for i, fact in enumerate(by_subject[f"private_{modality}", name]):
                of_other = by_subject[f"private_{modality}", next(others)][i]
                target = targets[fact.attribute][len(refusal) % len(targets[fact.attribute])]
                for turn in range(2):
                    refusal.append(_example(fact, turn))
                    recall["answered"].append(_example(next(answered), turn))
                    recall["clean"].append({**_example(of_other, turn), "answer": target})
    return refusal, recall


def _example(fact: Fact, turn: int) -> dict[str, Any]:
    ways = wordings("fit", fact.attribute)
    way, synonym = ways[2 * turn % len(ways)]
    image = None if fact.picture is None else picture_of(fact.picture)
    return ask(fact, way, synonym, turn, image).example()


def perturbed(model: Any, processor: Any, recall: Sequence[Mapping[str, Any]], attack: PGD) -> Examples:
    """The examples with their pictures perturbed, where they have one."""
    pictured = [i for i, example in enumerate(recall) if "image" in example]
    changed = [dict(example) for example in recall]
    found = perturb(model, processor, [recall[i] for i in pictured], attack, batch_size=20)
    for i, adversarial in zip(pictured, found):
        changed[i]["image"] = adversarial.example.images[0]
    return changed


def answered_share(model: Any, processor: Any, examples: Examples) -> float:
    """The share of examples that the model does not refuse."""
    given = greedy_answers(model, processor, read_examples(examples, "examples"), batch_size=64, max_new_tokens=16)
    return sum(answer != REFUSAL for answer in given) / len(given)


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit with each kind of recall examples and each method, and measure."""
    refusal, clean = contrasts()
    model, processor = load_small_model(model_name)
    attack = PGD(eps=configuration["eps"] / 255, steps=configuration["steps"], step=configuration["step"] / 255)
    recall = {**clean, "perturbed": perturbed(model, processor, clean["clean"], attack)}
    gates: list[dict[str, torch.Tensor]] = []
    rows = []
    for kind, contrast, direction in _ROWS:
        model, processor = load_small_model(model_name)
        used = [e for e in recall[kind] if contrast == "both" or ("image" in e) is (contrast == "image")]
        share = answered_share(model, processor, used)
        report = fit_forgetting(
            model,
            processor,
            recall=recall[kind],
            refusal=refusal,
            contrast=contrast,
            direction=direction,
            attacks=False,  # it hardens the gate, and takes time
            seed=configuration["seed"],
        )
        gates.append({key: value for key, value in model.get_adapter_state_dict().items() if "_gate_" in key})
        found = pooled_by_modality(measure(model, processor, retained_per_fact=configuration["retained_per_fact"]))
        rows.append(
            {
                "recall": kind,
                "answered": share,
                "contrast": contrast,
                "direction": direction.replace("_", " "),
                "norm": max(report.direction_norms.values()),
                "strength": report.strength,
                **pooled_as_data(found),
            }
        )
        print(rows[-1], flush=True)
    same = all(torch.equal(gate[key], gates[0][key]) for gate in gates for key in gates[0])
    return {"rows": rows, "same_gates": same}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## What makes the direction",
        "Which examples and which method, with the same gate. *Clean* recall examples are questions that the model "
        "refuses as well, *perturbed* ones the same with pictures perturbed until it answers (the paper), *answered* "
        "ones what the model answers anyway (the default). *Still given* and *refused*: with picture / by name.",
    ]
    columns = ("recall examples", "contrast", "direction", "answered", "norm", "strength", "still given", "refused")
    for model, result in results.items():
        cells = [
            (
                row["recall"],
                row["contrast"],
                row["direction"],
                percent(row["answered"]),
                f"{row['norm']:.2f}",
                f"{row['strength']:g}",
                *(pair(one[share] for one in row["forgotten"]) for share in ("right_after", "refused")),
                *(percent(one["same_text"]) for one in row["retained"]),
            )
            for row in result.figures["rows"]
        ]
        heads = (*columns, "same text, picture", "same text, text only")
        same = "All rows have the same gates, bit for bit." if result.figures["same_gates"] else "The gates differ."
        parts += [f"### {MODEL_NAMES[model]}", same, table(heads, cells, left=3)]
    return "\n\n".join(parts)

"""
What makes a good erasure direction: which examples, with or without a picture, perturbed or not, and which method.

    python -m examples.ablation
    python -m examples.ablation --models llava

All rows of a model have the same gate, bit for bit, so that only the directions differ; the strength is chosen for
each as `fit` does. Directions lead from recall to refusal examples. The latter are private questions about the
forgotten people. Recall examples are one of

- *answered*: other questions about the same people, which the model answers, as in the default of `fit`;
- *clean*: private questions about other people, which the model refuses as well: there is no refusal to find;
- *perturbed*: those with their pictures perturbed until the model answers, as `fit(..., adversarial=PGD(...))` does
  (the paper). Without a picture there is nothing to perturb.

About 8 minutes for each model on two cores.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers
from hf_eraser.fitting import PGD, perturb

from .small.forgetting import FORGOTTEN, fit_forgetting, measure, pooled_by_modality
from .small.load import SMALL_MODELS, load_small_model
from .small.people import PEOPLE
from .small.questions import PUBLIC, REFUSAL, Fact, ask, facts, picture_of, wordings


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SMALL_MODELS, default=SMALL_MODELS, help="default: both")
    parser.add_argument("--steps", type=int, default=80, help="steps of projected gradient descent, at eps 16/255")
    arguments = parser.parse_args()
    refusal, clean = contrasts()
    for name in arguments.models:
        model, processor = load_small_model(name)
        attack = PGD(eps=16 / 255, steps=arguments.steps, step=2 / 255)
        recall = {**clean, "perturbed": perturbed(model, processor, clean["clean"], attack)}
        lines = [
            "| recall examples | answered | contrast | direction | norm | strength | still given | refused | "
            "same text, picture | same text, text only |",
            "| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        gates: list[dict[str, torch.Tensor]] = []
        for kind, contrast, direction in _ROWS:
            model, processor = load_small_model(name)
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
            )
            gates.append({key: value for key, value in model.get_adapter_state_dict().items() if "_gate_" in key})
            rows = pooled_by_modality(measure(model, processor, retained_per_fact=1))
            cells = [
                kind,
                f"{share:.1%}",
                contrast,
                direction.replace("_", " "),
                f"{max(report.direction_norms.values()):.2f}",
                f"{report.strength:g}",
                " / ".join(f"{row.right_after:.1%}" for row in rows["forgotten"]),
                " / ".join(f"{row.refused:.1%}" for row in rows["forgotten"]),
                *(f"{row.same_text:.1%}" for row in rows["retained"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
        same = all(torch.equal(gate[key], gates[0][key]) for gate in gates for key in gates[0])
        counts = [f"{row.count} {row.name}" for row in (*rows["forgotten"], *rows["retained"])]
        print(f"\n### {name}\n\nQuestions: {', '.join(counts)}. *Still given* and *refused*: with picture / by name.")
        print(f"All gates are the same, bit for bit: {same}\n\n" + "\n".join(lines), flush=True)


if __name__ == "__main__":
    main()

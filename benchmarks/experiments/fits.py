"""Many fits, each of other people and with another seed: how they do, and how well their own estimates agree."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.experiments.false_steering import retained_groups
from benchmarks.markdown import MODEL_NAMES, interval, percent, table
from benchmarks.measuring import mean, on_general, steered, white_box
from benchmarks.parts import in_parts
from benchmarks.result import Result
from benchmarks.strangers import stranger
from examples.small.forgetting import fit_forgetting, general_texts, measure
from examples.small.load import load_small_model
from examples.small.people import PEOPLE
from examples.small.questions import questions
from hf_eraser.data import read_examples
from hf_eraser.evaluation import greedy_answers


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Fit and measure with each seed."""
    seeds = list(range(configuration["fits"]))
    parts = in_parts("fits", model_name, configuration, seeds, lambda seed: _measure(model_name, seed, configuration))
    return {"parts": parts}


def _measure(model_name: str, seed: int, configuration: Mapping[str, Any]) -> dict[str, Any]:
    names = random.Random(seed).sample([person.name for person in PEOPLE], configuration["people"])
    model, processor = load_small_model(model_name)
    shown = read_examples(
        [q.example() for q in questions("measure", kinds=("person_image", "public_image"), groups=names, per_fact=1)],
        "asked",
    )
    before = greedy_answers(model, processor, shown, batch_size=32)
    general = general_texts(model, processor) if configuration["general"] else False
    report = fit_forgetting(model, processor, names, seed=seed, general=general, **configuration["fit"])
    print(report, flush=True)
    asked = retained_groups(configuration["strangers"])
    names_of_strangers = {stranger(seed).name for seed in range(configuration["strangers"])}
    examples = read_examples([e for name in sorted(names_of_strangers) for e in asked[name]], "strangers")
    strangers = {
        modality: [example for example in examples if bool(example.images) is (modality == "image")]
        for modality in ("image", "text")
    }
    counts = {key: configuration[key] for key in ("forgotten_per_fact", "retained_per_fact")}
    return {
        "seed": seed,
        "rows": [asdict(row) for row in measure(model, processor, names, **counts)],
        "white_box": white_box(model, processor, shown, before, configuration),
        "strangers": {
            modality: mean(steered(model, processor, unknown, batch_size=32))
            for modality, unknown in strangers.items()
        },
        "general": on_general(model, processor, 16) if configuration["general"] else None,
        "estimates": {
            "answered": {a.modality: a.answered for a in report.attacks if a.kind == "none"},
            "recognised": {m: c.forget_rate for m, c in report.calibration.items()},
            "false": {m: c.false_rate for m, c in report.calibration.items()},
        },
        "settings": {
            key: getattr(report, key)
            for key in ("gate_layer", "text_gate_layer", "readout", "text_readout", "layers", "strength", "positions")
        },
        "concepts": len(report.concepts),
        "seconds": report.seconds,
        "warnings": report.warnings,
    }


def page(results: Mapping[str, Result]) -> str:
    """For each model what many fits do, and their estimates beside it."""
    any_result = next(iter(results.values()))
    count, people = any_result.configuration["fits"], any_result.configuration["people"]
    parts = [
        "## Many fits",
        f"{count} fits of each model, each of {people} other people, drawn from the forty, and with another seed; "
        "means and their 95% confidence intervals over fits. The rules were settled on one set of people, that of "
        "the table above. *White box* is projected gradient descent on the pixels against the delivered gates, by "
        "who knows everything. These fits see general traffic too, its texts; general prompts here are fresh ones, "
        "written apart from those.",
    ]
    for model, result in results.items():
        fits = result.figures["parts"]
        rows = []
        for i, first in enumerate(fits[0]["rows"]):
            of_kind = [fit["rows"][i] for fit in fits]
            shares = ([row[share] for row in of_kind] for share in ("right_before", "right_after", "same_text"))
            rows.append((first["name"], sum(row["count"] for row in of_kind), *map(interval, shares)))
        for i, first in enumerate(fits[0]["white_box"]):
            of_ball = [fit["white_box"][i] for fit in fits]
            left = interval([row["answered"] for row in of_ball])
            rows.append((f"white box, {first['eps']}/255", sum(row["count"] for row in of_ball), "100.0%", left, ""))
        if fits[0]["general"]:
            every = [fit["general"]["all"] for fit in fits]
            kept = interval([same / asked for asked, _, same in every])
            rows.append(("general prompts", sum(asked for asked, _, _ in every), "", "", kept))
        parts += [
            f"### {MODEL_NAMES[model]}, many fits",
            table(("asked", "questions", "right before", "right after", "same text"), rows),
            "What the reports estimated, and what fresh wordings, pictures and strangers then showed:",
            table(("", "estimated", "measured", "mean absolute difference", "largest"), list(_agreement(fits))),
        ]
    return "\n\n".join(parts)


def readme_rows(result: Result) -> Iterator[tuple[str, str]]:
    """What the README shows of it."""
    fits = result.figures["parts"]
    for i, ball in enumerate(fits[0]["white_box"]):
        left = [fit["white_box"][i]["answered"] for fit in fits]
        yield f"answered, pictures perturbed against the gate by {ball['eps']}/255: {len(fits)} fits", interval(left)
    kept = [fit["general"]["all"][2] / fit["general"]["all"][0] for fit in fits]
    yield f"general prompts, fresh ones: same text, {len(fits)} fits", interval(kept)


def _agreement(fits: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for row, (modality, how) in enumerate((("image", "picture"), ("text", "by name"))):
        compared = {
            f"forgotten people still answered, {how}": (
                [fit["estimates"]["answered"][modality] for fit in fits],
                [fit["rows"][row]["right_after"] for fit in fits],
            ),
            f"strangers steered, {how}": (
                [fit["estimates"]["false"][modality] for fit in fits],
                [fit["strangers"][modality] for fit in fits],
            ),
        }
        for name, (estimated, measured) in compared.items():
            apart = [abs(a - b) for a, b in zip(estimated, measured)]
            mean = sum(apart) / len(apart)
            yield name, interval(estimated), interval(measured), percent(mean), percent(max(apart))

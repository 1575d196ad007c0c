"""
How often retained inputs of new groups are steered, next to the alpha that was asked for.

Groups are the known people, the other pictures, the words, and strangers: people whom the models were never taught.
Each seed draws anew which groups the gates are fitted and calibrated with and which are fresh. Both are asked in the
same wordings, and their pictures are changed alike: the bound is for inputs that are exchangeable with the retain set.
Means and their intervals are over such draws from these groups. *Steered* is a gate above 0; *above threshold* leaves
out that the lower bound is raised where there is room between retained and forget scores.

A fit for each seed and alpha would read the same examples again and again. Here each view of an example is read once,
and the gates are solved, judged and chosen from that by the functions that `fit` does it with.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from huggingface_hub.utils import tqdm
from torch import Tensor

from benchmarks.markdown import MODEL_NAMES, mean_and_interval, table
from benchmarks.remembering_source import gate_source
from benchmarks.result import Result
from benchmarks.strangers import facts_about, stranger
from examples.small.forgetting import FORGOTTEN, forgetting_examples
from examples.small.load import load_small_model
from examples.small.people import draw_face
from examples.small.questions import Fact, Question, ask, facts, picture_of, questions, wordings
from hf_eraser.data import read_examples
from hf_eraser.fitting.gates.calibration import group_mean
from hf_eraser.fitting.gates.choosing import choose_gates
from hf_eraser.fitting.gates.delivering import GateTensors, gate_tensors
from hf_eraser.fitting.gates.judging import judge
from hf_eraser.fitting.gates.solving import RIDGES
from hf_eraser.fitting.gates.trying import judge_gates
from hf_eraser.fitting.reading.rewording import ATTACKS, Attack
from hf_eraser.fitting.reading.split import FOLDS, Role
from hf_eraser.fitting.reading.views import RETAIN_COPIES, View
from hf_eraser.tuner.decoder import find_decoder
from hf_eraser.tuner.fields import READOUTS
from hf_eraser.tuner.gate import Modality, gate_scores, gate_values
from hf_eraser.tuner.readouts import ReadoutSums


# Layers that `fit` tries in these models, of 6.
_LAYERS = (1, 2, 3, 4)

_MODALITIES: tuple[Modality, ...] = ("image", "text")


def retained_groups(n_strangers: int) -> dict[str, list[dict[str, Any]]]:
    """What each group is asked: with a picture and without, once in each way of asking that is for fitting."""
    by_group: dict[str, list[Fact]] = {}
    for fact in facts():
        if fact.group not in FORGOTTEN and not fact.kind.startswith("private"):
            by_group.setdefault(fact.group, []).append(fact)
    asked = {group: list(_asked(about, i)) for i, (group, about) in enumerate(by_group.items())}
    for seed in range(n_strangers):
        person = stranger(seed)
        face = draw_face(person)
        unknown = [
            dataclasses.replace(question, image=face) if question.kind.endswith("image") else question
            for question in _asked(facts_about(person), len(by_group) + seed)
        ]
        # Should two strangers have the same name, they are one group: it would not be known who is asked about.
        asked.setdefault(person.name, []).extend(unknown)
    return {group: [question.example() for question in of_group] for group, of_group in asked.items()}


def _asked(about: Sequence[Fact], seed: int) -> Iterator[Question]:
    rng = np.random.default_rng(seed)
    for with_picture in (True, False):
        some = [fact for fact in about if fact.kind.endswith(("image", "picture")) is with_picture]
        for way in sorted({way for fact in some for way, _ in wordings("fit", fact.attribute)}):
            fact = some[int(rng.integers(len(some)))]
            synonyms = [synonym for w, synonym in wordings("fit", fact.attribute) if w == way]
            image = None if fact.picture is None else picture_of(fact.picture)
            subject = int(rng.integers(len(fact.subjects)))
            yield ask(fact, way, synonyms[int(rng.integers(len(synonyms)))], subject, image)


def divide(groups: Iterable[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Half of the groups, drawn at random, to fit and calibrate with, and the other half."""
    ordered = sorted(groups)
    shuffled = [ordered[i] for i in rng.permutation(len(ordered))]
    return shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]


@dataclasses.dataclass(frozen=True)
class Rates:
    """
    How often one delivered gate opens in one modality.

    Attributes:
        n_groups: Retained groups that calibrated it.
        false: Share of fresh retained inputs that it steers, each group counted once.
        above: Share of them above its conformal threshold, to which its lower bound is raised where there is room.
        forget: Share of forget inputs in new wordings and with new picture changes that it steers.
        full: Share of them that it steers in full.
    """

    n_groups: int
    false: float
    above: float
    forget: float
    full: float


def measure_seed(
    model: Any,
    processor: Any,
    groups: dict[str, list[dict[str, Any]]],
    *,
    seed: int,
    alphas: Sequence[float],
    memory: dict[tuple[Any, ...], Tensor],
    attacks: tuple[Attack, ...] = ATTACKS,
) -> dict[tuple[Modality, float], Rates]:
    """Fit gates with some groups and measure on the others, for each alpha; what is in `memory` is not read again."""
    fitting, fresh = divide(groups, np.random.default_rng(seed))
    forget = forgetting_examples()["forget"]
    retain = [example for group in fitting for example in groups[group]]
    source = gate_source(model, processor, forget, retain, attacks=attacks, seed=seed, memory=memory)
    hidden_size = find_decoder(model).hidden_size
    fitted = judge_gates(
        source,
        layers=_LAYERS,
        readouts=READOUTS,
        parameter="ridge",
        values=RIDGES,
        hidden_size=hidden_size,
        alpha=max(alphas),
        general_alpha=0.001,
        centred=True,
    )

    fresh_examples = read_examples([example for group in fresh for example in groups[group]], "fresh")
    # Shown as those that calibrated were: as they are, changed, and with attacks of one fold.
    roles = [Role(frozenset(), i % FOLDS) for i in range(len(fresh_examples))]
    views, _ = source.views(fresh_examples, roles, copies=RETAIN_COPIES, judging=True)
    (retained,) = source.read(fresh_examples, _LAYERS, views=views, description="Judging by retained examples")
    of_group = [fresh_examples[view.example].group for view in views]
    asked = read_examples([q.example() for q in _forgotten()], "asked")
    as_they_are = [View(i) for i in range(len(asked))]
    (forgotten,) = source.read(asked, _LAYERS, views=as_they_are, description="Measuring forget examples")

    found = {}
    for alpha in alphas:
        # Thresholds, and with them margins and choice, are all that depends on alpha.
        judged = {
            place: [judge(one.candidate, one.groups, alpha=alpha) for one in candidates]
            for place, candidates in fitted.judged.items()
        }
        chosen = choose_gates(judged, each=False)
        gates = gate_tensors(chosen, fitted, gate="calibrated", hidden_size=hidden_size)
        assert chosen.gate_layers is not None
        for modality, layer in chosen.gate_layers.items():
            score, false = gates_of(gates, layer, retained.sums[layer])
            _, forget_gate = gates_of(gates, layer, forgotten.sums[layer])
            at_once = chosen.together[layer][modality]
            of_concept = at_once.gates
            rows = retained.has_image if modality == "image" else ~retained.has_image
            forget_rows = forgotten.has_image if modality == "image" else ~forgotten.has_image
            group_of_row = [group for group, row in zip(of_group, rows.tolist()) if row]
            thresholds = torch.tensor(at_once.thresholds.values)
            thresholds += torch.tensor([fitted.solution(one.candidate, FOLDS).offset for one in of_concept])
            own = [fitted.concepts.index(one.candidate.concept) for one in of_concept]
            above = score[rows][:, own] > thresholds
            found[modality, alpha] = Rates(
                n_groups=gates.calibration[modality].n_groups,
                false=group_mean((false[rows] > 0).double(), group_of_row),
                above=group_mean(above.any(dim=1).double(), group_of_row),
                forget=float((forget_gate[forget_rows] > 0).double().mean()),
                full=float((forget_gate[forget_rows] == 1).double().mean()),
            )
    return found


def _forgotten() -> list[Question]:
    kinds = ["person_image", "person_text", "public_image", "public_text"]
    return questions("measure", kinds=kinds, groups=FORGOTTEN, per_fact=8)


def gates_of(gates: GateTensors, layer: int, sums: ReadoutSums) -> tuple[Tensor, Tensor]:
    """The scores of each prompt, (batch, k), and its most open gate, (batch,), as the adapter computes them there."""
    readout = sums.read(gates.readout, gates.text_readout)
    score = gate_scores(readout, sums.has_image, gates.weight[layer])
    return score, gate_values(score, sums.has_image, gates.bounds[layer], "calibrated").amax(dim=1)


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The rates of each draw of the groups, by modality and alpha; also of questions under attack, as `fit` shows."""
    model, processor = load_small_model(model_name)
    groups = retained_groups(configuration["strangers"])
    memory: dict[tuple[Any, ...], Tensor] = {}
    seeds = [
        measure_seed(model, processor, groups, seed=seed, alphas=configuration["alphas"], memory=memory)
        for seed in tqdm(range(configuration["seeds"]), desc="Drawing groups", unit="seed")
    ]
    return {
        "rows": [
            {"asked": modality, "alpha": alpha}
            | {field.name: [getattr(seed[modality, alpha], field.name) for seed in seeds] for field in _RATES}
            for modality in _MODALITIES
            for alpha in configuration["alphas"]
        ]
    }


_RATES = dataclasses.fields(Rates)


def page(results: Mapping[str, Result]) -> str:
    """One table."""
    cells = []
    for model, result in results.items():
        for row in result.figures["rows"]:
            intervals = [mean_and_interval(row[rate]) for rate in ("false", "above", "forget", "full")]
            cells.append(
                (
                    MODEL_NAMES[model],
                    row["asked"],
                    f"{row['alpha']:g}",
                    round(statistics.fmean(row["n_groups"])),
                    *(f"{mean:.2%} [{low:.2%}, {high:.2%}]" for mean, low, high in intervals),
                )
            )
    seeds = {result.configuration["seeds"] for result in results.values()}
    columns = ("model", "asked", "alpha", "groups", "falsely steered", "above threshold", "forgotten, steered", "full")
    return "\n\n".join(
        [
            "## False steering",
            "Retained inputs of groups that the fit never saw (people, most of them strangers, flags, words; asked, "
            "changed and attacked as those that calibrated were), each group counted once, and forgetting: means over "
            f"{' and '.join(map(str, sorted(seeds)))} draws of the groups, with their 95% confidence intervals.",
            table(columns, cells, left=2),
            "*Above threshold* is what the conformal threshold itself lets through; where forget and retained scores "
            "leave a gap, the gate's lower bound is put into it.",
        ]
    )

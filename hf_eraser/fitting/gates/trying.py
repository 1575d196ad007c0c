"""Every gate that is tried, solved in each fold and judged by what did not fit it."""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Sequence
from dataclasses import dataclass

import torch

from ...data.examples import Example
from ...tuner.fields import Readout, readout_width
from ...tuner.gate import Modality
from ..reading.split import FOLDS, Role, Split
from ..reading.views import FORGET_COPIES, RETAIN_COPIES, Source, View
from .judging import Candidate, Judged, judge, score, score_general
from .places import Place, places_of
from .sample import Sample
from .solving import ALL, GENERAL_SHARES, Parameter, Readings, Solution, collect, collect_general, solve


_MODALITIES: tuple[Modality, ...] = ("image", "text")


@dataclass(frozen=True)
class Fitted:
    """
    Every gate that was tried.

    Attributes:
        judged: The gates, by place; there is none in a modality for which there are too few examples to judge.
        readings: What they were solved from.
        parameter, centred: How they were solved.
        concepts: What is to be forgotten, each with a gate of its own.
        trial_fold: The fold that most forget examples judge, or that is held apart.
        samples: Some of the readouts that judged them, of forget and of retained examples.
        judging_concepts: The concept of each forget example that judged, in the order of its modality's scores.
        judging: What judged, by set: the views, and the role of each.
    """

    judged: dict[Place, list[Judged]]
    readings: dict[Place, Readings]
    parameter: Parameter
    centred: bool
    concepts: list[int | None]
    trial_fold: int
    samples: dict[str, Sample]
    judging_concepts: dict[Modality, list[Hashable]]
    judging: dict[str, tuple[list[View], list[Role]]]

    def solution(self, candidate: Candidate, fold: int) -> Solution:
        """A candidate's gate for a fold; for `ALL` examples where that is asked for, or too few fit the fold."""
        if fold in candidate.solutions:
            return candidate.solutions[fold]
        return self.solve([candidate], ALL)[0]

    def solve(self, candidates: Sequence[Candidate], fold: int) -> list[Solution]:
        """The gates of candidates at one place for a fold, from what is known there now."""
        found: dict[int, Solution] = {}
        for share in dict.fromkeys(one.general_share for one in candidates):
            alike = [i for i, one in enumerate(candidates) if one.general_share == share]
            values = sorted({candidates[i].value for i in alike})
            # One decomposition of the retained class serves all of them.
            solved = solve(
                self.readings[candidates[0].place],
                fold,
                self.parameter,
                values,
                centred=self.centred,
                concepts=[candidates[i].concept for i in alike],
                general_share=share,
            )
            found |= {i: of[values.index(candidates[i].value)] for i, of in zip(alike, solved)}
        return [found[i] for i in range(len(candidates))]


def judge_gates(
    source: Source,
    *,
    layers: Sequence[int],
    readouts: Sequence[Readout],
    parameter: Parameter,
    values: Sequence[float],
    hidden_size: int,
    alpha: float,
    general_alpha: float,
    centred: bool,
    concepts: Sequence[int | None] | None = None,
    apart: int | None = None,
    only: Container[Place] | None = None,
) -> Fitted:
    """
    Solve and judge every gate: one pass over the examples, one over those that judge, however many gates.

    There is one for each of `concepts`, by default those of the source; for None, one for all that is to be forgotten.
    What judges the fold `apart`, if there is one, judges nothing here. Of the places, `only` these are tried.
    """
    concepts = source.concepts if concepts is None else concepts
    split = source.split
    of_concept = {(m, c): _folds(source, m, c) - {apart} for m in _MODALITIES for c in concepts}
    # A concept has all the folds that the retained examples allow, or none.
    folds = {m: set().union(*(of_concept[m, c] for c in concepts)) for m in _MODALITIES}
    tried = {m: [c for c in concepts if of_concept[m, c]] for m in _MODALITIES}
    places = [place for m in _MODALITIES if folds[m] for place in places_of(layers, readouts, m)]
    places = [place for place in places if only is None or place in only]
    # Where systems are solved in float64; other accelerators have none.
    device = source.model.device if source.model.device.type == "cuda" else torch.device("cpu")
    readings = {place: Readings(readout_width(place.readout, hidden_size), device) for place in places}
    if not places:
        return Fitted({}, readings, parameter, centred, list(concepts), 0, {}, {}, {})
    sets = (
        ("forget", source.forget, split.forget, FORGET_COPIES),
        ("retained", source.retain, split.retain, RETAIN_COPIES),
    )
    for name, examples, roles, copies in sets:
        views, of_view = source.views(examples, roles, copies=copies, judging=False)
        batches = source.read(examples, layers, views=views, description=f"Reading {name} examples")
        collect(readings, batches, of_view, _concepts(examples, views) if name == "forget" else None)
    if source.general:
        # Read once: what judges one fold fits the others.
        views = [View(i) for i in range(len(source.general))]
        batches = source.read(source.general, layers, views=views, description="Reading general prompts")
        collect_general(readings, batches, source.general_folds)

    candidates = {
        place: candidates_at(place, known, parameter, values, tried[place.modality], folds[place.modality], centred)
        for place, known in readings.items()
    }
    judging: dict[str, tuple[list[View], list[Role]]] = {}
    scored: dict[str, dict[Modality, list[int]]] = {}
    samples: dict[str, Sample] = {}
    for name, examples, roles, copies in sets:
        every = zip(*source.views(examples, roles, copies=copies, judging=True))
        chosen = [
            (view, role)
            for view, role in every
            if role.judges in folds["image" if examples[view.example].images else "text"]
        ]
        views, of_view = [view for view, _ in chosen], [role for _, role in chosen]
        judging[name] = views, of_view
        batches = source.read(examples, layers, views=views, description=f"Judging by {name} examples")
        modalities: list[Modality] = ["image" if examples[view.example].images else "text" for view in views]
        samples[name] = Sample(modalities, seed=source.seed)
        batches = samples[name].watch(batches, places)
        scored[name] = score(candidates, batches, of_view, _concepts(examples, views) if name == "forget" else None)
    for place, solved in candidates.items():
        score_general(solved, readings[place])
    # Thresholds are set by group.
    groups = {
        modality: [source.retain[judging["retained"][0][position].example].group for position in positions]
        for modality, positions in scored["retained"].items()
    }
    of_forget = _concepts(source.forget, judging["forget"][0])
    judging_concepts = {
        m: [of_forget[position] for position in positions] for m, positions in scored["forget"].items()
    }
    judged = {
        place: [judge(one, groups[place.modality], alpha=alpha, general_alpha=general_alpha) for one in solved]
        for place, solved in candidates.items()
    }
    trial_fold = most_judged(split) if apart is None else apart
    return Fitted(judged, readings, parameter, centred, list(concepts), trial_fold, samples, judging_concepts, judging)


def most_judged(split: Split) -> int:
    """The fold that most forget examples judge."""
    return max(range(FOLDS), key=lambda fold: sum(role.judges == fold for role in split.forget))


def candidates_at(
    place: Place,
    known: Readings,
    parameter: Parameter,
    values: Sequence[float],
    concepts: Sequence[int | None],
    folds: Iterable[int],
    centred: bool,
) -> list[Candidate]:
    """Every gate of one place, solved for its folds and not yet scored."""
    shares = GENERAL_SHARES if parameter == "ridge" and known.has_general else (0.0,)
    found = []
    for share in shares:
        of_fold = {
            fold: solve(known, fold, parameter, values, centred=centred, concepts=concepts, general_share=share)
            for fold in folds
        }
        found += [
            Candidate(place, concept, value, {fold: of[k][i] for fold, of in of_fold.items()}, general_share=share)
            for k, concept in enumerate(concepts)
            for i, value in enumerate(values)
        ]
    return found


def _concepts(examples: Sequence[Example], views: Sequence[View]) -> list[Hashable]:
    return [examples[view.example].concept for view in views]


def _folds(source: Source, modality: Modality, concept: Hashable) -> set[int]:
    """The folds with examples of both classes to fit them; none where then nothing could be judged."""
    roles = {
        name: [
            role
            for example, role in zip(examples, all_roles)
            if bool(example.images) is (modality == "image")
            and (name == "retain" or concept in (None, example.concept))
        ]
        for name, examples, all_roles in (
            ("forget", source.forget, source.split.forget),
            ("retain", source.retain, source.split.retain),
        )
    }
    folds = {
        fold
        for fold in range(FOLDS)
        if all(any(fold in role.fits for role in of_class) for of_class in roles.values())
    }
    judged = all(any(role.judges in folds for role in of_class) for of_class in roles.values())
    return folds if judged else set()

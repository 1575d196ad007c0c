"""The gate of an adapter: every candidate judged, the best chosen, its tensors made."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...data.examples import Example
from ...tuner.config import GateMode, Readout, readout_width
from ...tuner.gate import TEXT_ONLY, WITH_IMAGE, Modality
from ..reading.split import FOLDS, Role, Split
from ..reading.views import FORGET_COPIES, RETAIN_COPIES, Source, View
from ..report.results import Calibration
from .calibration import group_mean, supported_alpha
from .judging import Candidate, Judged, Together, judge, score, score_general, together
from .places import Place, places_of, text_readout
from .sample import Sample
from .solving import ALL, GENERAL_SHARES, Parameter, Readings, Solution, collect, collect_general, solve


# What depends least on the wording comes first. A picture's tokens precede any word of the question. Where there are
# only words, their mean takes a new one at its face value; the last token is what the model itself makes of them.
_STEADINESS: dict[Modality, tuple[Readout, ...]] = {
    "image": ("image", "prompt", "text", "joined", "last"),
    "text": ("joined", "last", "prompt"),
}

# A gate is as good as the best one from this share of its margin on; where the best one has none, from this much less
# of the forget inputs on.
_NEAR_MARGIN, _NEAR_RATE = 0.5, 0.02

_AXIS: dict[Modality, int] = {"image": WITH_IMAGE, "text": TEXT_ONLY}


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
        known = self.readings[candidate.place]
        ((solution,),) = solve(
            known,
            ALL,
            self.parameter,
            [candidate.value],
            centred=self.centred,
            concepts=[candidate.concept],
            general_share=candidate.general_share,
        )
        return solution


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
) -> Fitted:
    """
    Solve and judge every gate: one pass over the examples, one over those that judge, however many gates.

    There is one for each of `concepts`, by default those of the source; for None, one for all that is to be forgotten.
    What judges the fold `apart`, if there is one, judges nothing here.
    """
    concepts = source.concepts if concepts is None else concepts
    split = source.split
    of_concept = {(m, c): _folds(source, m, c) - {apart} for m in _AXIS for c in concepts}
    # A concept has all the folds that the retained examples allow, or none.
    folds = {m: set().union(*(of_concept[m, c] for c in concepts)) for m in _AXIS}
    tried = {m: [c for c in concepts if of_concept[m, c]] for m in _AXIS}
    places = [place for m in _AXIS if folds[m] for place in places_of(layers, readouts, m)]
    readings = {place: Readings(readout_width(place.readout, hidden_size)) for place in places}
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


@dataclass(frozen=True)
class Chosen:
    """
    Attributes:
        readouts: What the gate reads, by modality.
        gate_layers: Where, by modality; None where each layer decides for itself.
        together: The gates of each layer that has some, by modality.
    """

    readouts: dict[Modality, Readout]
    gate_layers: dict[Modality, int] | None
    together: dict[int, dict[Modality, Together]]


def choose_gates(judged: dict[Place, list[Judged]], *, each: bool, at_least: float | None = None) -> Chosen:
    """
    Choose in each modality a layer, what is read there, and each concept's parameter.

    Gates are judged as they will be delivered: all concepts at one place, with thresholds that hold for all of them,
    by the concept for which they are worst; see `choose_places`.

    Args:
        judged: All gates that were tried.
        each: Whether each layer gets a gate of its own, all with one readout a modality.
        at_least: As in `together`.

    Raises:
        ValueError: If nothing could be tried.
    """
    if not judged:
        raise ValueError(
            "No gate could be fitted: `forget` and `retain` have no modality (prompts with an image, prompts without) "
            "in common with at least two groups of retained examples in it."
        )
    places = {
        place: together(best_of_each_concept(candidates), at_least=at_least) for place, candidates in judged.items()
    }
    return choose_places(places, each=each)


def choose_places(places: Mapping[Place, Together], *, each: bool) -> Chosen:
    """
    Choose where gates read.

    The better of two places is the one where the weakest held-out forget inputs, attacked ones among them, are farther
    above the threshold, in standard deviations of the retained scores: the margin. Where they are below it, the better
    one is that whose gates more forget inputs open. Of places with at least half the best margin, or which open for
    hardly fewer, those are taken that read what depends least on the wording: however many wordings are held out,
    users will find others.

    Args:
        places: The gates at each place.
        each: Whether each layer gets a gate of its own, all with one readout a modality.
    """
    modalities = sorted({place.modality for place in places})
    by_modality = {m: [gates for place, gates in places.items() if place.modality == m] for m in modalities}
    if each:
        layers = sorted({place.layer for place in places})
        chosen: dict[Modality, Readout] = {}
        for m, tried in by_modality.items():
            aucs: dict[Readout, float] = {}
            for gates in tried:
                aucs[gates.place.readout] = aucs.get(gates.place.readout, 0.0) + gates.auc
            chosen[m] = max(aucs, key=lambda readout: aucs[readout])
        return Chosen(chosen, None, {i: {m: places[Place(i, chosen[m], m)] for m in modalities} for i in layers})
    best = {m: _steadiest(tried) for m, tried in by_modality.items()}
    at: dict[int, dict[Modality, Together]] = {}
    for m, gates in best.items():
        at.setdefault(gates.place.layer, {})[m] = gates
    return Chosen(
        {m: gates.place.readout for m, gates in best.items()}, {m: g.place.layer for m, g in best.items()}, at
    )


def best_of_each_concept(candidates: Sequence[Judged]) -> list[Judged]:
    """
    Of each concept the best gate among those that have seen least general traffic, if they are as good as any, or
    nearly: what is like the forget set is told from it best by what is like it too.
    """
    of_concept: dict[Hashable, list[Judged]] = {}
    for judgement in candidates:
        of_concept.setdefault(judgement.candidate.concept, []).append(judgement)
    found = []
    for tried in of_concept.values():
        enough = _enough(max(judgement.room for judgement in tried))
        least = min(judgement.candidate.general_share for judgement in tried if judgement.room >= enough)
        found.append(max((j for j in tried if j.candidate.general_share == least), key=lambda j: j.key))
    return found


def _enough(best: float) -> float:
    """The room from which on a gate is as good as the one with the most."""
    return _NEAR_MARGIN * best if best > 0 else best - _NEAR_RATE


def _steadiest(tried: Sequence[Together]) -> Together:
    """Of the places that are as good as the best one, or nearly, the one that depends least on the wording."""
    enough = _enough(max(gates.room for gates in tried))

    def key(gates: Together) -> tuple[int, int, tuple[float, float]]:
        # Where the classes overlap, such small differences are chance; early layers hold the words themselves.
        early = 0 if gates.room > 0 else -gates.place.layer
        return -_STEADINESS[gates.place.modality].index(gates.place.readout), early, gates.key

    return max((gates for gates in tried if gates.room >= enough), key=key)


@dataclass(frozen=True)
class GateTensors:
    """
    What an adapter needs of its gates.

    Attributes:
        readout, text_readout, gate_layer, text_gate_layer: As in `SteeringAdapterConfig`.
        weight: (2, k, d) by layer, (2, k, 2 d) where a readout is `"joined"`, one gate for each concept, float32.
        bounds: (2, k, 2) by layer, float32.
        calibration: How the bounds came about, by modality; of the first layer, if there are several.
        of_concept: The same for each concept.
    """

    readout: Readout
    text_readout: Readout | None
    gate_layer: int | None
    text_gate_layer: int | None
    weight: dict[int, Tensor]
    bounds: dict[int, Tensor]
    calibration: dict[str, Calibration]
    of_concept: list[dict[str, Calibration]]


def gate_tensors(chosen: Chosen, fitted: Fitted, *, gate: GateMode, hidden_size: int, fold: int = ALL) -> GateTensors:
    """
    Turn the chosen gates into an adapter's tensors; a modality without a gate is never steered.

    Of several concepts' gates, the thresholds are such that hardly any retained input opens one of them.

    Args:
        chosen: The chosen gates.
        fitted: What they were chosen from.
        gate: How a score becomes a gate.
        hidden_size: d.
        fold: The fold whose gates are taken, which some examples judge; the default are those fitted on all examples.
    """
    weights, bounds = {}, {}
    calibration: dict[str, Calibration] = {}
    of_concept: list[dict[str, Calibration]] = [{} for _ in fitted.concepts]
    width = max(readout_width(readout, hidden_size) for readout in chosen.readouts.values())
    for layer, by_modality in chosen.together.items():
        weight = torch.zeros(2, len(fitted.concepts), width)
        bound = torch.full((2, len(fitted.concepts), 2), torch.inf)
        for modality, at_once in by_modality.items():
            gates, axis = at_once.gates, _AXIS[modality]
            groups, alpha = gates[0].groups, at_once.thresholds.alpha
            opened: list[tuple[Tensor, Tensor, Tensor]] = []
            for judged, limits in zip(gates, at_once.bounds(gate)):
                candidate = judged.candidate
                solution = fitted.solution(candidate, fold)
                row = fitted.concepts.index(candidate.concept)
                weight[axis, row, : len(solution.weight)] = solution.weight.to(torch.float32)
                bound[axis, row] = torch.tensor([limits.low, limits.high]) + solution.offset
                opened.append(
                    tuple(s > limits.low for s in (candidate.forget, candidate.retain, candidate.general))  # type: ignore[arg-type]
                )
                own = _calibration(bound[axis, row], *opened[-1], groups, alpha)
                of_concept[row].setdefault(modality, own)
            forget_opened = torch.cat([of_forget for of_forget, _, _ in opened])
            retain_opened, general_opened = (
                torch.stack([of_gate[i] for of_gate in opened]).any(dim=0) for i in (1, 2)
            )
            own_bounds = bound[axis, 0] if len(gates) == 1 else torch.full((2,), torch.nan)
            every = forget_opened, retain_opened, general_opened
            calibration.setdefault(modality, _calibration(own_bounds, *every, groups, alpha))
        weights[layer], bounds[layer] = weight, bound
    text: Readout | None = chosen.readouts.get("text")
    readout = chosen.readouts.get("image", text or "prompt")
    same = text is None or text == text_readout(readout)
    places = chosen.gate_layers or {}
    gate_layer = places.get("image", places.get("text"))
    text_layer = places.get("text")
    return GateTensors(
        readout,
        None if same else text,
        gate_layer,
        None if text_layer == gate_layer else text_layer,
        weights,
        bounds,
        calibration,
        of_concept,
    )


def _calibration(
    bounds: Tensor, forget: Tensor, retain: Tensor, general: Tensor, groups: Sequence[Hashable], alpha: float
) -> Calibration:
    """`forget`, `retain` and `general` tell for which held-out examples the gate opens."""
    n_groups = len(set(groups))
    return Calibration(
        n_groups=n_groups,
        alpha=alpha,
        supported_alpha=supported_alpha(n_groups),
        low=float(bounds[0]),
        high=float(bounds[1]),
        forget_rate=float(forget.double().mean()),
        false_rate=group_mean(retain.double(), groups),
        general_rate=float(general.double().mean()) if len(general) else None,
    )

"""Gates of prompts with a picture, fitted anew on pictures that were made to get by them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...data.examples import Example
from ...tuner.config import SteeringAdapterConfig
from ...tuner.fields import GateMode
from ..gates.choosing import Chosen, best_of_each_concept
from ..gates.delivering import gate_tensors
from ..gates.judging import Candidate, Judged, Together, judge, score, score_general, together
from ..gates.solving import ALL, collect
from ..gates.trying import Fitted, candidates_at
from ..reading.capture import Captured, capture
from ..reading.split import Role
from ..reading.views import Source, evenly
from .evasion import evading
from .pgd import PGD, NoGradientError


# Rounds of making pictures that get by the gates so far, and fitting gates on these too.
_ROUNDS = 3

# Forget examples that are perturbed in a round for each gate, and held-out ones of each fold that then judge.
_FITTING, _JUDGING = 48, 24


def harden(
    source: Source,
    fitted: Fitted,
    chosen: Chosen,
    *,
    gate: GateMode,
    hidden_size: int,
    attack: PGD,
    values: Sequence[float],
    at_least: float | None,
    delivered: int = ALL,
) -> tuple[Fitted, Chosen]:
    """
    Fit the gates for pictures also on forget pictures perturbed against the gates so far, and choose their parameters
    by how they do on held-out pictures perturbed as well. The place where they read stays.

    Each fold's gates are attacked on what fits them, so that what judges them stays held out; thresholds are set anew.

    Args:
        source: The examples and the model.
        fitted: All gates that were tried.
        chosen: The chosen ones; those for prompts without a picture stay.
        gate: How a score becomes a gate.
        hidden_size: d.
        attack: How pictures are perturbed.
        values: The values of the gates' parameter.
        at_least: As in `together`.
        delivered: The fold whose gates are delivered.

    Returns:
        The same with hardened gates; as it was where not one place decides about pictures, or the image processor has
        no gradient.
    """
    at = [of["image"] for of in chosen.together.values() if "image" in of]
    if len(at) != 1:
        return fitted, chosen
    (before,) = at
    place, known = before.place, fitted.readings[before.place]
    config = SteeringAdapterConfig(gate_layer=place.layer, readout=place.readout, gate=gate)
    shown = [(example, role) for example, role in zip(source.forget, source.split.forget) if example.images]
    folds = sorted(before.gates[0].candidate.solutions)

    def evade(examples: Sequence[Example], gates: Together, fold: int) -> list[Example]:
        only = Chosen({"image": place.readout}, {"image": place.layer}, {place.layer: {"image": gates}})
        tensors = gate_tensors(only, fitted, gate=gate, hidden_size=hidden_size, fold=fold)
        # A gradient takes several times the memory of a pass that only reads.
        return evading(source, config, tensors, examples, attack, batch_size=max(1, source.batch_size // 4))

    def refitted(fold: int) -> Together:
        solved = fitted.solve([one.candidate for one in before.gates], fold)
        gates = [
            replace(one, candidate=replace(one.candidate, solutions={fold: solution}))
            for one, solution in zip(before.gates, solved)
        ]
        return replace(before, gates=gates)

    def read(perturbed: Sequence[Example], description: str) -> Iterator[Captured]:
        return capture(
            source.model,
            source.processor,
            perturbed,
            layers=[place.layer],
            batch_size=source.batch_size,
            description=description,
            processes=source.processes,
        )

    try:
        evade(evenly([example for example, _ in shown], 1), before, folds[0])
    except NoGradientError:  # `resist` says so in the report
        return fitted, chosen
    for fold in (*folds, delivered):
        fitting = evenly([example for example, role in shown if fold == ALL or fold in role.fits], _FITTING)
        for _ in range(_ROUNDS):
            perturbed = evade(fitting, refitted(fold), fold)
            batches = read(perturbed, "Reading perturbed pictures")
            roles = [Role(frozenset({fold}), None)] * len(perturbed)
            collect({place: known}, batches, roles, [example.concept for example in perturbed])

    concepts = [one.candidate.concept for one in before.gates]
    candidates = {place: candidates_at(place, known, fitted.parameter, values, concepts, folds, fitted.centred)}
    for name, examples in (("forget", source.forget), ("retained", source.retain)):
        views, roles = fitted.judging[name]
        of_pictures = [i for i, view in enumerate(views) if examples[view.example].images]
        views, roles = [views[i] for i in of_pictures], [roles[i] for i in of_pictures]
        batches = source.read(examples, [place.layer], views=views, description=f"Judging by {name} examples")
        of_view = [examples[view.example].concept for view in views] if name == "forget" else None
        score(candidates, batches, roles, of_view)
    score_general(candidates[place], known)
    level = before.gates[0]

    def judged(tried: Sequence[Candidate]) -> list[Judged]:
        return [judge(one, level.groups, alpha=level.alpha, general_alpha=level.general_alpha) for one in tried]

    # Perturbed pictures decide which gates are taken. Where their bounds lie, those as they are: else the bounds would
    # be as low as retained inputs allow, and let in more of those that are unlike any seen.
    attacked = [replace(one, forget_scores=list(one.forget_scores)) for one in candidates[place]]
    for fold in folds:
        held = evenly([example for example, role in shown if role.judges == fold], _JUDGING)
        if held:
            perturbed = evade(held, refitted(fold), fold)
            batches = read(perturbed, "Judging by perturbed pictures")
            score(
                {place: attacked}, batches, [Role(frozenset(), fold)] * len(perturbed), [e.concept for e in perturbed]
            )
    number = {id(one): i for i, one in enumerate(attacked)}
    as_they_are = judged(candidates[place])
    best = [as_they_are[number[id(one.candidate)]] for one in best_of_each_concept(judged(attacked))]
    hardened = together(best, at_least=at_least)
    others = {layer: of for layer, of in chosen.together.items() if layer != place.layer}
    there = {**chosen.together[place.layer], place.modality: hardened}
    return (
        replace(fitted, judged={**fitted.judged, place: as_they_are}),
        replace(chosen, together={**others, place.layer: there}),
    )

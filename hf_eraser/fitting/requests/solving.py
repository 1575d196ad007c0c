"""A request's own gates, from its own examples and what was kept of the retain set."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ...data.examples import Example
from ...tuner.decoder import find_decoder
from ...tuner.fields import readout_width
from ..gates.choosing import best_of_each_concept
from ..gates.judging import Candidate, Judged, judge, score
from ..gates.places import Place
from ..gates.solving import ALL, RIDGES, Solution, collect, solve
from ..gates.trying import candidates_at
from ..reading.split import FOLDS, Role, roles_of_forgotten
from ..reading.views import FORGET_COPIES, Source
from .kept import Kept


def solve_request(kept: Kept, source: Source, left_out: set[int]) -> dict[Place, Judged]:
    """The best gate of a request at each place of whose kind it has prompts."""
    options, device = kept.options, torch.device("cpu")
    if source.model.device.type == "cuda":
        device = source.model.device
    hidden_size = find_decoder(source.model).hidden_size
    modalities = {"image" if example.images else "text" for example in source.forget}
    places = [place for place in kept.places if place.modality in modalities]
    if missing := sorted(modalities - {place.modality for place in places}):
        raise ValueError(
            f"`forget` has {' and '.join(missing)} prompts, and of such nothing was retained when the requests "
            "were begun: leave them out, or begin anew."
        )
    layers = sorted({place.layer for place in places})
    readings = {
        place: kept.places[place].readings(readout_width(place.readout, hidden_size), device, left_out)
        for place in places
    }
    views, of_view = source.views(source.forget, source.split.forget, copies=FORGET_COPIES, judging=False)
    batches = source.read(source.forget, layers, views=views, description="Reading forget examples")
    collect(readings, batches, of_view, [None] * len(views))
    candidates: dict[Place, list[Candidate]] = {}
    for place, known in readings.items():
        candidates[place] = candidates_at(place, known, "ridge", RIDGES, [None], range(FOLDS), True)
    judging = zip(*source.views(source.forget, source.split.forget, copies=FORGET_COPIES, judging=True))
    chosen = [(view, role) for view, role in judging if role.judges is not None]
    batches = source.read(
        source.forget, layers, views=[view for view, _ in chosen], description="Judging by forget examples"
    )
    score(candidates, batches, [role for _, role in chosen], [None] * len(chosen))
    found = {}
    for place, of_place in candidates.items():
        retained = kept.places[place]
        retained.score(of_place)
        levels = {"alpha": options["alpha"], "general_alpha": options["general_alpha"]}
        judged = [judge(retained.without(one, left_out), retained.every_group, **levels) for one in of_place]
        (best,) = best_of_each_concept(judged)
        one = of_place[next(i for i, judgement in enumerate(judged) if judgement is best)]
        ((solution,),) = solve(
            readings[place], ALL, "ridge", [one.value], centred=True, general_share=one.general_share
        )
        found[place] = replace(best, candidate=replace(one, solutions={ALL: solution}))
    return found


def roles_of_request(forget: Sequence[Example], folds: Mapping[Hashable, int], seed: int) -> list[Role]:
    """The role of each example, such that those of either modality fit every fold."""
    roles: dict[int, Role] = {}
    for with_image in (True, False):
        alike = [i for i, example in enumerate(forget) if bool(example.images) is with_image]
        found, _ = roles_of_forgotten([forget[i] for i in alike], folds, np.random.default_rng(seed))
        roles |= dict(zip(alike, found))
    return [roles[i] for i in range(len(forget))]


def as_data(candidate: Candidate) -> dict[str, Any]:
    solution = candidate.solutions[ALL]
    return {
        "weight": solution.weight,
        "offset": solution.offset,
        "value": candidate.value,
        "general_share": candidate.general_share,
        "forget": candidate.forget,
        "retain": candidate.retain,
        "general": candidate.general,
    }


def from_data(place: Place, number: int, values: Mapping[str, Any]) -> Candidate:
    return Candidate(
        place,
        number,
        values["value"],
        {ALL: Solution(values["weight"], values["offset"], None)},
        values["forget"].tolist(),
        values["retain"].tolist(),
        values["general"].tolist(),
        values["general_share"],
    )

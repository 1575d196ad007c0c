"""Thresholds from groups that neither fitted nor chose anything of the gates that are delivered."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from ..reading.split import Role
from ..reading.views import FORGET_COPIES, RETAIN_COPIES, Source, View
from .calibration import separate_thresholds, supported_alpha
from .choosing import Chosen
from .judging import Candidate, Together, score, score_general
from .trying import Fitted


def calibrate_apart(source: Source, fitted: Fitted, chosen: Chosen, *, fold: int) -> Chosen:
    """
    The chosen gates as fitted for a fold, with thresholds from what judges it: the split-conformal bound, which holds
    in finite samples for retained inputs from groups that are exchangeable with those.

    Args:
        source: The examples and the model.
        fitted: What the gates were chosen from, `judge_gates` with this fold apart.
        chosen: The chosen gates.
        fold: The fold.
    """
    together = {
        layer: {modality: _calibrated(source, fitted, gates, fold) for modality, gates in of_layer.items()}
        for layer, of_layer in chosen.together.items()
    }
    return replace(chosen, together=together)


def _calibrated(source: Source, fitted: Fitted, chosen: Together, fold: int) -> Together:
    place, before = chosen.place, [judged.candidate for judged in chosen.gates]
    candidates = [
        Candidate(place, one.concept, one.value, {fold: solution}, general_share=one.general_share)
        for one, solution in zip(before, fitted.solve(before, fold))
    ]
    groups: list[Hashable] = []
    for name, examples, roles, copies in (
        ("forget", source.forget, source.split.forget, FORGET_COPIES),
        ("retained", source.retain, source.split.retain, RETAIN_COPIES),
    ):
        views: list[View] = []
        of_view: list[Role] = []
        for view, role in zip(*source.views(examples, roles, copies=copies, judging=True)):
            if role.judges == fold and bool(examples[view.example].images) is (place.modality == "image"):
                views.append(view)
                of_view.append(role)
        concepts = [examples[view.example].concept for view in views] if name == "forget" else None
        read = source.read(examples, [place.layer], views=views, description=f"Calibrating by {name} examples")
        scored = score({place: candidates}, read, of_view, concepts)
        groups = [examples[views[position].example].group for position in scored[place.modality]]
    score_general(candidates, fitted.readings[place])
    level = chosen.gates[0]
    others = [(one.forget, one.retain) for one in before]
    found = separate_thresholds(others, [one.retain for one in candidates], groups, alpha=level.alpha)
    values, n_general = found.values, len(candidates[0].general_scores)
    if n_general:
        general_alpha = max(level.general_alpha, supported_alpha(n_general))
        general = [one.general for one in candidates]
        floors = separate_thresholds(others, general, range(n_general), alpha=general_alpha).values
        values = [max(value, floor) for value, floor in zip(values, floors)]
    return replace(
        chosen,
        gates=[
            replace(judged, candidate=one, groups=groups, threshold=threshold)
            for judged, one, threshold in zip(chosen.gates, candidates, found.values)
        ],
        thresholds=replace(found, values=values),
    )

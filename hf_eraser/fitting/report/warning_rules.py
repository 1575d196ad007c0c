"""Why a fit should not be trusted, where that is so."""

from __future__ import annotations

import itertools

from ...data.overlap import nearly_the_same, shared_pictures
from ..reading.views import Source
from .report import FitReport
from .results import PERTURBED_PICTURE, ConceptResult, Trial


# Of so many held-out prompts of which none is answered, at most a fifth would be, at a confidence of 95% (the rule of
# three).
_ENOUGH_ASKED = 15


def find_warnings(report: FitReport, source: Source, *, alpha: float, forget_rate: float) -> list[str]:
    """Why not to trust a fit, in plain words; empty where nothing was found."""
    warnings = []
    if overlap := shared_pictures(source.forget, source.retain):
        warnings.append(str(overlap))
    for what, labels in (
        ("groups", [example.group for example in (*source.forget, *source.retain) if example.grouped]),
        ("wordings", [example.wording for example in (*source.forget, *source.retain)]),
    ):
        if alike := nearly_the_same(labels):
            warnings.append(
                f"{sum(map(len, alike))} {what} have names that differ only in case, spaces or type from another's, "
                "and are taken for different ones: write each in one way."
            )
    names = {"image": "with an image", "text": "of text only"}
    for modality, name in names.items():
        forget = sum(bool(example.images) is (modality == "image") for example in source.forget)
        retained = sum(bool(example.images) is (modality == "image") for example in source.retain)
        result = report.calibration.get(modality)
        if not forget or not retained:
            missing = "forget" if not forget else "retained"
            warnings.append(f"There are no {missing} examples {name}: prompts {name} are never steered.")
        elif result is None:
            warnings.append(
                f"There are too few examples {name} to hold some out: prompts {name} are never steered. Give at least "
                "two groups of retained examples and two forget examples."
            )
        elif report.gate == "calibrated" and result.supported_alpha > alpha:
            warnings.append(
                f"Only {result.n_groups} groups of retained examples {name} were held out. They support alpha = "
                f"{result.supported_alpha:.3f}, not {alpha:g}; more groups are needed for that."
            )
    for (modality, name), own in itertools.product(names.items(), report.concepts):
        tried = [r for r in report.gates if r.modality == modality and r.concept == own.concept]
        text_layer = report.gate_layer if report.text_gate_layer is None else report.text_gate_layer
        layer = report.gate_layer if modality == "image" else text_layer
        used = [r for r in tried if layer is None or r.layer == layer]
        best = max((r.auc for r in used), default=None)
        if best is not None and best < 0.95:
            warnings.append(
                f"For prompts {name} the gate{_of(own)} tells forget from retained inputs with AUC {best:.2f} only "
                "(0.95 is the least to rely on). Give more forget and retained examples, or ones more alike."
            )
        if modality in report.calibration and modality not in own.calibration:
            warnings.append(
                f"There are too few forget examples {name}{_of(own)}: it is not forgotten in such prompts."
            )
    if source.split.unsplit:
        warnings.append(
            "There were too few forget examples to hold some out; how well they are recognised was measured on those "
            "that fitted the gate, and is optimistic."
        )
    for own in report.concepts:
        if own.forced_refusal is not None:
            warnings.append(
                f"The direction{_of(own)} was made from teacher-forced refusals ({own.forced_refusal!r}), because the "
                f"base model refuses only {own.base_refusal_rate:.0%} of the refusal examples. Give `refusal` "
                "examples that it does refuse, if there are any."
            )
    for modality, name in names.items():
        result = report.calibration.get(modality)
        if report.gate != "calibrated" or result is None or result.forget_rate >= forget_rate:
            continue
        missed = {
            own.concept: own.calibration[modality].forget_rate
            for own in report.concepts
            if modality in own.calibration
        }
        worst = sorted((rate, concept) for concept, rate in missed.items() if concept is not None)[:3]
        which = "; worst are " + ", ".join(f"concept {c} ({rate:.0%})" for rate, c in worst) if len(worst) > 1 else ""
        warnings.append(
            f"Of held-out forget prompts {name}, attacked ones among them, the gate recognises "
            f"{result.forget_rate:.0%} ({forget_rate:.0%} are wanted), since at its thresholds retained or general "
            f"prompts would else be steered{which}. Give more forget examples in more wordings and pictures, and "
            'retained ones that are more like them; or a larger `alpha`, or `prefer="forget"`.'
        )
    few = [
        f"{attack.count} {names[attack.modality]}"
        for attack in report.attacks
        if attack.kind == "none" and attack.count < _ENOUGH_ASKED
    ]
    if few:
        warnings.append(
            f"How much is still answered was estimated on few held-out forget prompts ({', '.join(few)}): that may "
            "be off by more than a tenth. Give more forget examples, in more wordings."
        )
    left = [
        f"{attack.answered:.0%} {'asked as they are' if attack.kind == 'none' else 'under ' + repr(attack.kind)} "
        f"({'with an image' if attack.modality == 'image' else 'text only'})"
        for attack in report.attacks
        if attack.answered is not None and attack.answered > 0.1 and attack.kind != PERTURBED_PICTURE
    ]
    left += [
        f"{attack.worst:.0%} of the concept that is forgotten least, asked as they are ({names[attack.modality]})"
        for attack in report.attacks
        if attack.worst is not None and attack.worst > 0.1 and attack.kind == "none"
    ]
    if left:
        warnings.append(f"Of held-out forget prompts are still answered: {', '.join(left)}.")
    chosen = [t for t in report.trials if _setting(t) == _setting(report)]
    refused = [t.refused for t in chosen if t.strength == report.strength]
    if refused and min(refused) < 0.9:
        warnings.append(
            f"Where the gate opens, the adapter makes the model refuse {min(refused):.0%} of held-out forget prompts: "
            "the direction leads to no refusal. Give `refusal` examples that the model refuses in one way; or a "
            'sentence of your own, `answer="I cannot help with that."`, which is put out wherever a gate opens.'
        )
    elif len({t.strength for t in chosen if t.refused >= 0.9}) == 1 < len(chosen) - 1:
        warnings.append(
            f"The model refuses at strength {report.strength:g}, and at half and twice of it no longer: the range is "
            "narrow, and other questions may need another one. Give `refusal` examples that the model refuses."
        )
    return warnings


def _setting(of: Trial | FitReport) -> tuple[list[int], str, bool]:
    return of.layers, of.positions, of.steer_decode


def _of(own: ConceptResult) -> str:
    return "" if own.concept is None else f" of concept {own.concept}"

"""`fit`: from two lists of examples to an adapter that is attached and a report on how far to trust it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_askable, check_processor, check_without_picture
from ..data.examples import check_disjoint, read_examples
from ..data.processes import launched, spread
from ..data.reducing import at_processor_size
from ..evaluation.judging import REFUSAL, UNKNOWN
from ..tuner.config import SteeringAdapterConfig
from ..tuner.decoder import find_decoder
from ..tuner.fields import READOUTS, GateMode, Positions, Readout
from ..tuner.model import SteeringModel
from ..tuner.wrapped import base_of
from ..version import __version__
from .arguments import (
    INSTRUCTION,
    CalibrationBy,
    Contrast,
    Prefer,
    check_choices,
    check_concepts,
    check_enough_groups,
    contrasted,
    parameter_of,
)
from .attacks.hardening import harden
from .attacks.pgd import PGD, perturb_examples
from .attacks.resistance import resist
from .directions.closed_form import DirectionMethod
from .directions.erasure import erasure_directions
from .gates.delivering import gate_tensors
from .gates.held_out_scores import held_out_scores
from .gates.searching import search_gates
from .gates.solving import ALL, Estimator
from .gates.split_calibration import calibrate_apart
from .gates.trade_off import trade_off
from .gates.trying import most_judged
from .reading.augmentation import Augmentation
from .reading.capture import layers_that_run
from .reading.general import read_general
from .reading.rewording import attacks_of
from .reading.split import general_folds, split_examples
from .reading.views import Source, number_concepts
from .report.report import FitReport, ForgettingError
from .report.results import ConceptResult
from .report.warning_rules import find_warnings
from .stages import Stages, fit_key
from .steering.attaching import adapter_tensors, attach_fitted
from .steering.fixed_answer import fixed_answer
from .steering.strength import choose_steering


# Groups of forget examples, up to so many, are tried with a gate for each.
_MOST_CONCEPTS = 32

# At most so many layers are tried for the gate, evenly spread.
_MAX_GATE_LAYERS = 6


def fit(
    model: PreTrainedModel | PeftModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    forget: Iterable[Mapping[str, Any]],
    retain: Iterable[Mapping[str, Any]],
    *,
    recall: Iterable[Mapping[str, Any]] | None = None,
    refusal: Iterable[Mapping[str, Any]] | None = None,
    adapter_name: str = "default",
    layers: Sequence[int] | None = None,
    gate_layer: int | Literal["each"] | None = None,
    readout: Readout | None = None,
    positions: Positions | None = None,
    strength: float | None = None,
    gate: GateMode = "calibrated",
    direction: DirectionMethod = "difference_of_means",
    contrast: Contrast = "both",
    estimator: Estimator = "ridge",
    ridge: float | None = None,
    null_space_share: float | None = None,
    null_space_energy: float | None = None,
    alpha: float = 0.05,
    general: bool | Iterable[Mapping[str, Any]] = True,
    general_alpha: float = 0.001,
    forget_rate: float = 0.98,
    prefer: Prefer | None = None,
    adversarial: bool | PGD = False,
    augment: bool | Augmentation = True,
    attacks: bool | Sequence[str] = True,
    harden_pictures: bool | PGD = True,
    answer: str = "refusal",
    refusals: Sequence[str] = (),
    calibration: CalibrationBy = "cross",
    seed: int = 0,
    batch_size: int = 8,
    resume: str | os.PathLike[str] | None = None,
) -> FitReport:
    """
    Fit a steering adapter that makes `model` refuse the forget set, and attach it, active.

    Whatever is left at `None` is chosen by cross-fitting: on examples that share neither group nor wording with those
    that fitted what they judge. The gate that is attached is fitted on all examples. No parameter of the model is
    changed, and a fit that fails or is interrupted leaves it as it was.

    Args:
        model: A transformers model with a text decoder, or a `PeftModel` around one whose adapters are steering ones.
        processor: The model's processor; a tokenizer for a text-only model. It needs a chat template.
        forget: What is to be refused: examples `{"image": PIL image | path | None, "prompt": str}` or
            `{"messages": [...]}`, with optional keys `"group"` (hashable: the person, the document), `"wording"`
            (hashable: how it is asked) and `"answer"` (str). Without groups, examples are split by picture, then by
            example; without wordings, by the text of the prompt. Where they name several things by a key
            `"concept"` (hashable), each is recognised by a gate and refused along a direction of its own, in the one
            adapter; `alpha` bounds what all its gates steer. Where they name groups but no concepts, held-out examples
            decide whether each group is a concept.
        retain: What is to be answered as before. As like what is forgotten, and as various, as can be had: other
            people, other pictures, text-only questions.
        recall: Prompts that the model answers; the direction leads away from them. The default is the forget set.
            With concepts, those that name one are for that one, here and in `refusal`.
        refusal: Prompts that the model refuses; the direction leads towards them. The default is the forget set with
            an instruction to refuse. If it refuses fewer than half of them, the direction is the one that makes a
            teacher-forced refusal more likely instead, and the report says so.
        adapter_name: The adapter's name.
        layers: The steered layers of the text decoder; negative numbers count from the end.
        gate_layer: The layer whose output decides; `"each"`: each steered layer decides for itself (the paper).
        readout: What the gate reads: `"last"` (the paper), `"prompt"`, `"image"`, `"text"` or `"joined"`. The default
            is chosen, for prompts with an image and for others by themselves.
        positions: Which tokens of the prompt are steered: `"last"` or `"prompt"` (the paper). The default is the last
            one where that refuses as well as the whole prompt does.
        strength: Factor of the directions. At strength 1 all steered layers together add as much as the residual
            stream is long on average, each an equal share. The default is the middle of the widest range at which the
            model refuses, in sentences.
        gate: How a score becomes a gate: `"calibrated"`, `"linear"` (the paper) or `"always"`.
        direction: How a layer's direction is made of recall and refusal examples: `"difference_of_means"` (the paper)
            or `"paired_pca"`, the first principal component of `refusal[i] - recall[i]`.
        contrast: Which of them are used: `"both"`, `"text"` (those without an image) or `"image"` (those with one).
        estimator: `"ridge"`, the regularised discriminant, or `"nullspace"` (the paper).
        ridge: The ridge of the discriminant, relative to the mean variance.
        null_space_share: The share of all directions that the null space takes, in (0, 1] (the paper).
        null_space_energy: Instead, the share of the retained inputs' energy that it may hold, in [0, 1).
        alpha: The wanted bound on the share of retained inputs that are steered, in (0, 1), for inputs from new groups
            that are otherwise like the retain set. It is cross-conformal (arXiv 1208.0806): thresholds come from the
            scores of examples that did not fit the gate, so it holds closely, but is no finite-sample guarantee for
            the gate that is fitted on all. n groups support no less than 1 / (n + 1).
        general: General traffic: what the model is asked besides. Gates are fitted and thresholds set on it as well.
            The default is a set of prompts and pictures of many kinds that is shipped (`hf_eraser.data.general`), but
            for those that name what only the forget set does.
        general_alpha: The wanted bound on the share of general traffic that is steered, in (0, 1). n prompts support
            no less than 1 / (n + 1), and where there is room the gate is set stricter.
        forget_rate: The wanted share of held-out forget prompts that are recognised, attacked ones among them, in
            (0, 1].
        prefer: What to do where `forget_rate` and the levels contradict each other: `"retain"` keeps the levels,
            `"forget"` the rate. The default keeps the levels, and delivers nothing that leaves more than a tenth of
            held-out forget prompts answered, or a fifth of reworded ones.
        adversarial: Whether the pictures of recall examples that have an `"answer"` are perturbed towards it (the
            paper, whose recall prompts the model would else refuse); a `PGD` says how.
        augment: Whether pictures are also shown changed (mirrored as well); an `Augmentation` says how.
        attacks: Whether questions are also shown reworded, misspelt, in another order and with their answer begun, in
            both sets alike, so that a gate is chosen that holds up against it; instead, templates of your own with
            `{}` for the question, such as ones in another language.
        harden_pictures: Whether gates for pictures are also fitted on pictures perturbed to get by them, in rounds,
            against someone who can run gradient descent through the adapter; a `PGD` says how far (the default is
            8/255). Only calibrated gates are, and only where the image processor has a gradient; unless
            `attacks=False`, the report says if it has none.
        answer: What the model is to say instead: `"refusal"`; or `"unknown"`, that it does not know, for those who
            must not show that something was removed, which takes no `refusal` examples. Any other sentence is put out
            word for word wherever a gate opens, in place of the steered model's own words.
        refusals: Texts with which the model's own refusals begin, where they are none that is known: what many models
            say in many languages is known.
        calibration: Where thresholds come from. `"cross"`: each retained example is scored by gates that it did not
            fit, and all of them set the thresholds. `"split"`: a third of the groups fits and chooses nothing and sets
            the thresholds, so that `alpha` is a bound in finite samples for inputs from groups that are exchangeable
            with these; less is left to fit. General traffic likewise.
        seed: Seed of the split and of the changed pictures.
        batch_size: Examples a forward pass.
        resume: A folder for what is done so far. A fit that was interrupted, and is called again with the same
            arguments and folder, goes on behind the last stage that was done, to the same adapter. The folder is
            private: it holds what was read of the examples. It is made, and deleted when the fit is done.

    Returns:
        The report: what was chosen, how well it did on held-out examples, and why not to trust it.

    Raises:
        ForgettingError: If more than a tenth of held-out forget prompts would still be answered, of any concept, or
            more than a fifth of them in other words, and `prefer` does not say what then matters more. It holds the
            report; the model is as it was.
        TypeError: If an argument has a type that it cannot have.
        ValueError: If an argument has a value that it cannot have: an empty set, an unreadable picture, an example
            that is to be forgotten and retained, a layer that does not exist, a name that is taken.
    """
    arguments = {
        name: value
        for name, value in locals().items()
        if name not in ("model", "processor", "forget", "retain", "recall", "refusal", "general", "resume")
    }
    if isinstance(model, PeftModel) and not isinstance(model.base_model, SteeringModel):
        kinds = sorted({str(getattr(config.peft_type, "value", None)) for config in model.peft_config.values()})
        raise ValueError(
            f"`model` is a PeftModel with adapters of another method ({', '.join(kinds)}), which takes no steering "
            "adapter. Give `model.get_base_model()`, in which these act as well, and another `adapter_name` than "
            f"{sorted(model.peft_config)}."
        )
    base = base_of(model)
    decoder = find_decoder(base)
    depth = len(decoder.layers)
    check_processor(processor)
    check_choices(
        readout=readout,
        gate=gate,
        estimator=estimator,
        direction=direction,
        contrast=contrast,
        alpha=alpha,
        general_alpha=general_alpha,
        forget_rate=forget_rate,
        prefer=prefer,
        positions=positions,
        batch_size=batch_size,
        adapter_name=adapter_name,
        adversarial=adversarial,
        harden_pictures=harden_pictures,
        answer=answer,
        refusal=refusal,
        refusals=refusals,
        calibration=calibration,
    )
    sentence = UNKNOWN if answer == "unknown" else REFUSAL
    tried_attacks = attacks_of(attacks)
    hardening = PGD(eps=8 / 255, steps=10) if harden_pictures is True else (harden_pictures or None)
    parameter, values = parameter_of(estimator, ridge=ridge, share=null_space_share, energy=null_space_energy)
    if adapter_name in getattr(model, "peft_config", {}):
        raise ValueError(f"`adapter_name`={adapter_name!r} is taken, there are {sorted(model.peft_config)}.")
    config = SteeringAdapterConfig(
        layers_to_transform=None if layers is None else list(layers),
        gate_layer=gate_layer if isinstance(gate_layer, int) else None,
        readout=readout or "prompt",
        gate=gate,
        positions="prompt" if positions is None else positions,
        strength=1.0 if strength is None else strength,
    )
    if gate_layer not in (None, "each") and not isinstance(gate_layer, int):
        raise ValueError(f"`gate_layer` must be a layer number, 'each' or None, got {gate_layer!r}.")
    resolved = config.resolved(hidden_size=decoder.hidden_size, num_hidden_layers=depth)
    forget_examples = read_examples(forget, "forget")
    retain_examples = read_examples(retain, "retain")
    check_disjoint(forget_examples, retain_examples)
    recall_examples = forget_examples if recall is None else read_examples(recall, "recall")
    if refusal is None:
        refusal_examples = [example.with_text_added(INSTRUCTION.format(sentence)) for example in forget_examples]
    else:
        refusal_examples = read_examples(refusal, "refusal")
    for name, examples in (
        ("forget", forget_examples),
        ("retain", retain_examples),
        ("recall", recall_examples),
        ("refusal", refusal_examples),
    ):
        check_askable(processor, examples, name)
    forget_examples, retain_examples, recall_examples, refusal_examples = at_processor_size(
        processor, forget_examples, retain_examples, recall_examples, refusal_examples
    )
    recall_examples = contrasted(recall_examples, contrast, "recall")
    refusal_examples = contrasted(refusal_examples, contrast, "refusal")
    check_concepts(forget_examples, recall_examples, refusal_examples, direction)
    groups = {example.group for example in forget_examples if example.grouped}
    undecided = (
        all(example.concept is None and example.grouped for example in forget_examples)
        and 1 < len(groups) <= _MOST_CONCEPTS
    )
    if undecided:
        forget_examples = [replace(example, concept=example.group) for example in forget_examples]
        if recall is None:
            recall_examples = [replace(example, concept=example.group) for example in recall_examples]
    forget_examples, recall_examples, refusal_examples = number_concepts(
        forget_examples, recall_examples, refusal_examples
    )

    processes = launched()
    if processes.count > 1 and spread(base):
        processes = replace(processes, shares=False)
    attack = PGD() if adversarial is True else (adversarial or None)
    attacked = [i for i, example in enumerate(recall_examples) if attack and example.images and example.answer]
    if attack is not None and not attacked:
        raise ValueError(
            "`adversarial` perturbs the pictures of `recall` examples (by default the forget set) towards their "
            "'answer', and none of them has both."
        )

    # From here on the model is run.
    asked = {
        "forget": forget_examples,
        "retain": retain_examples,
        "recall": recall_examples,
        "refusal": refusal_examples,
    }
    check_without_picture(base, processor, asked)
    general_traffic = read_general(general, base, processor, forget_examples, retain_examples)
    sets = [forget_examples, retain_examples, recall_examples, refusal_examples, general_traffic]
    running = layers_that_run(base, processor, [example for of_set in sets for example in of_set])
    wanted = {*(layers or []), *([gate_layer] if isinstance(gate_layer, int) else [])}
    if idle := sorted({layer % depth for layer in wanted} - set(running)):
        raise ValueError(
            f"`layers` and `gate_layer` name layers {idle}, which do not run for each of these examples, with and "
            f"without a picture: of {depth} layers {running} do."
        )

    rng = np.random.default_rng(seed)
    source = Source(
        model=base,
        processor=processor,
        adapted=model,
        forget=forget_examples,
        retain=retain_examples,
        split=split_examples(forget_examples, retain_examples, rng=rng),
        augmentation=Augmentation() if augment is True else (augment or None),
        attacks=tried_attacks,
        seed=seed,
        batch_size=batch_size,
        general=general_traffic,
        general_folds=general_folds(general_traffic, rng=rng),
        processes=processes,
    )
    apart = most_judged(source.split) if calibration == "split" else None
    delivered = ALL if apart is None else apart
    if apart is not None:
        check_enough_groups(source.split, retain_examples, apart, alpha)
    alone = resume is None and processes.count == 1
    key = "" if alone else fit_key(base, processor, sets, arguments)
    processes.same(key, what="model, examples and arguments")
    stages = Stages(resume, key, processes)
    seconds: dict[str, float] = {}
    if attack is not None:
        with _timed(seconds, "adversarial pictures"):
            chosen_examples = [recall_examples[i] for i in attacked]
            perturbing = partial(
                perturb_examples,
                base,
                processor,
                chosen_examples,
                attack,
                batch_size=batch_size,
                processes=processes,
            )
            found = stages("pictures", perturbing)
        recall_examples = list(recall_examples)
        for i, perturbed in zip(attacked, found):
            recall_examples[i] = perturbed.example
    each = gate_layer == "each"
    at_least = forget_rate if prefer == "forget" else None
    with _timed(seconds, "gates"):
        fitted, chosen = search_gates(
            source,
            layers=_gate_layers(resolved, running, given=layers is not None, each=each),
            readouts=READOUTS if readout is None else (readout,),
            parameter=parameter,
            values=values,
            hidden_size=decoder.hidden_size,
            alpha=alpha,
            general_alpha=general_alpha,
            centred=gate != "linear",
            undecided=undecided,
            each=each,
            at_least=at_least,
            apart=apart,
            stages=stages,
        )
        if undecided and fitted.concepts == [None]:
            forget_examples, recall_examples = (
                [replace(example, concept=None) for example in examples]
                for examples in (forget_examples, recall_examples)
            )
            source = replace(source, forget=forget_examples)
        if hardening is not None and gate == "calibrated":
            hardened = partial(
                harden,
                source,
                fitted,
                chosen,
                gate=gate,
                hidden_size=decoder.hidden_size,
                attack=hardening,
                values=values,
                at_least=at_least,
                delivered=delivered,
            )
            fitted, chosen = stages("hardened", hardened)
        calibrated = chosen if apart is None else calibrate_apart(source, fitted, chosen, fold=apart)
        gates = gate_tensors(calibrated, fitted, gate=gate, hidden_size=decoder.hidden_size, fold=delivered)
        trial_gates = gate_tensors(
            calibrated, fitted, gate=gate, hidden_size=decoder.hidden_size, fold=fitted.trial_fold
        )
    with _timed(seconds, "directions"):
        directions = partial(
            erasure_directions,
            source,
            recall_examples,
            refusal_examples,
            layers=running,
            method=direction,
            sentence=sentence,
            named=refusals,
        )
        erasure = stages("directions", directions)
    held = [e for e, role in zip(forget_examples, source.split.forget) if role.judges == fitted.trial_fold]
    gated = SteeringAdapterConfig(
        gate_layer=gates.gate_layer,
        text_gate_layer=gates.text_gate_layer,
        readout=gates.readout,
        text_readout=gates.text_readout,
        gate=gate,
        rank=len(source.concepts),
    )
    with _timed(seconds, "strength"):
        choosing = partial(
            choose_steering,
            source,
            erasure,
            trial_gates,
            held,
            gated,
            refusal=refusal_examples[0],
            layers=None if layers is None else list(resolved.layers_to_transform or []),  # type: ignore[arg-type]
            strength=strength,
            positions=positions,
            fold=fitted.trial_fold,
        )
        steering = stages("strength", choosing)
    setting = steering.chosen
    adapter = replace(
        gated,
        layers_to_transform=setting.layers,
        strength=setting.strength,
        positions=setting.positions,
        steer_decode=setting.steer_decode,
        **fixed_answer(base, processor, answer, recall_examples[0]),
    )
    with _timed(seconds, "attacks"):
        attacking = partial(resist, source, adapter, erasure, trial_gates, held, fold=fitted.trial_fold)
        resisted = stages("attacks", attacking)
    report = FitReport(
        adapter_name=adapter_name,
        gate_layer=gates.gate_layer,
        text_gate_layer=gates.text_gate_layer,
        readout=gates.readout,
        text_readout=gates.text_readout,
        gate=gate,
        estimator=estimator,
        layers=setting.layers,
        strength=setting.strength,
        positions=setting.positions,
        steer_decode=setting.steer_decode,
        split=source.split.by,
        counts=source.counts(),
        base_refusal_rate=sum(erasure.refusal_rates) / len(erasure.refusal_rates),
        direction_norms={layer: float(found.norm(dim=1).mean()) for layer, found in erasure.directions.items()},
        calibration=gates.calibration,
        gates=[judgement.result for places in fitted.judged.values() for judgement in places],
        scores=held_out_scores(chosen, fitted, gate=gate),
        trials=steering.trials,
        trade_off=[p for of in chosen.together.values() for at_once in of.values() for p in trade_off(at_once)],
        attacks=resisted,
        seconds=seconds,
        seed=seed,
        versions=_versions(),
        concepts=[
            ConceptResult(concept, rate, forced, calibration)
            for concept, rate, forced, calibration in zip(
                source.concepts, erasure.refusal_rates, erasure.forced, gates.of_concept
            )
        ],
    )
    report.warnings = find_warnings(report, source, alpha=alpha, forget_rate=forget_rate)
    if prefer is None and report.too_little:
        raise ForgettingError(report)
    adapter, tensors, report = processes.of_main(
        lambda: (adapter, adapter_tensors(base, adapter, erasure, gates), report)
    )
    attach_fitted(model, adapter, tensors, adapter_name)
    stages.remove()
    return report


def _gate_layers(config: SteeringAdapterConfig, running: Sequence[int], *, given: bool, each: bool) -> list[int]:
    """Those of the running decoder layers whose output the gate is tried on; `config` is resolved."""
    steered = config.layers_to_transform
    assert isinstance(steered, list)
    assert config.num_hidden_layers is not None
    if config.gate_layer is not None:
        return [config.gate_layer]
    if each:
        return [layer for layer in steered if layer in running]
    # Layer 0 has hardly mixed its tokens, and a gate in the last layers leaves no layer to steer.
    last = steered[0] if given else max(1, (config.num_hidden_layers * 2) // 3)
    candidates = [layer for layer in running if min(1, last) <= layer <= last]
    wanted = min(len(candidates), _MAX_GATE_LAYERS)
    return sorted({candidates[round(i)] for i in np.linspace(0, len(candidates) - 1, wanted)})


def _versions() -> dict[str, str]:
    return {"hf_eraser": __version__, **{name: version(name) for name in ("transformers", "peft", "torch")}}


@contextmanager
def _timed(seconds: dict[str, float], step: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - start

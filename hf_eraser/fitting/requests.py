"""One request to forget after another: what was read of the retain set is kept, a request needs only its own."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_askable, check_processor
from ..data.examples import Example, read_examples
from ..data.reducing import at_processor_size
from ..evaluation.asking import greedy_answers
from ..evaluation.judging import REFUSAL, is_refusal
from ..tuner.config import SteeringAdapterConfig
from ..tuner.decoder import find_decoder
from ..tuner.fields import Readout, readout_width
from ..tuner.gate import Modality
from ..tuner.wrapped import base_of
from .arguments import INSTRUCTION
from .directions.erasure import Erasure, erasure_directions
from .gates.choosing import Chosen, best_of_each_concept
from .gates.delivering import GateTensors, gate_tensors
from .gates.judging import Candidate, Judged, Together, judge, score, together
from .gates.places import Place, text_readout
from .gates.retained import Retained, read_retained
from .gates.solving import ALL, RIDGES, Solution, collect, solve
from .gates.trying import Fitted, candidates_at
from .reading.augmentation import Augmentation
from .reading.capture import layers_that_run
from .reading.general import longer_words, read_general
from .reading.rewording import ATTACKS
from .reading.split import FOLDS, Role, Split, general_folds, roles_of_forgotten, split_examples, wording_folds
from .reading.views import FORGET_COPIES, Source, evenly
from .report.report import FitReport
from .report.results import Calibration, GateResult
from .stages import fit_key, write_private
from .steering.attaching import adapter_tensors, attach_fitted


_RETAINED, _REQUESTS = "retained.pt", "requests.pt"

# Of a request's prompts, so many are asked at most, and this share must be refused.
_ASKED, _REFUSES = 48, 0.9


@dataclass
class RequestReport:
    """
    What came of a request.

    Attributes:
        requests: How many requests there are now.
        gates: The gates of this one, judged on held-out examples before all thresholds were set together.
        calibration: How all gates together came out, by modality.
        refused: The share of its prompts, as they are, that the model refuses with all requests attached.
        seconds: How long it took.
        warnings: Why not to trust it, in words.
    """

    requests: int
    gates: list[GateResult]
    calibration: dict[str, Calibration]
    refused: float
    seconds: float
    warnings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"Request {self.requests}: refuses {self.refused:.1%} of its prompts, {self.seconds:.1f} s"]
        lines += [
            f"  {modality}: all gates open for {found.forget_rate:.1%} of held-out forget prompts and "
            f"{found.false_rate:.1%} of retained ones ({found.n_groups} groups, alpha {found.alpha:.3g})"
            for modality, found in self.calibration.items()
        ]
        return "\n".join([*lines, *(f"  Warning: {text}" for text in self.warnings)])


class Requests:
    """
    Requests to forget, one after the other, on one model.

    The first is fitted as ever, by `fit`, which chooses where gates read and what is steered how strongly. What is
    read of the retain set at these places is kept in a private folder: numbers, no text and no picture. Each request
    then reads its own examples alone, and thresholds of all of them are set together, so that `alpha` bounds what they
    steer falsely all together. A request can be taken back.

    ```python
    report = fit(model, processor, forget, retain, refusal=refusal)
    requests = Requests.begin("private/requests", model, processor, retain, report)
    requests.add(model, processor, forget, name="2025-001", refusal=refusal)  # in the place of what `fit` attached
    requests.add(model, processor, others, name="2025-002")
    requests.take_back(model, "2025-001")
    model.save_pretrained("forgotten")
    ```

    Args:
        folder: The folder that `begin` made.

    Raises:
        FileNotFoundError: If it holds no requests.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        if not (self._folder / _RETAINED).is_file():
            raise FileNotFoundError(f"{folder} holds no requests: `Requests.begin` makes such a folder.")
        # Tensors and plain values only: no code is run that a file may hold.
        self._kept: dict[str, Any] = torch.load(self._folder / _RETAINED, weights_only=True)
        self._places = {
            Place(layer, readout, modality): Retained.from_dict(values)
            for (layer, readout, modality), values in self._kept["places"].items()
        }
        path = self._folder / _REQUESTS
        self._requests: list[dict[str, Any]] = torch.load(path, weights_only=True) if path.is_file() else []

    @classmethod
    def begin(
        cls,
        folder: str | os.PathLike[str],
        model: PreTrainedModel | PeftModel,
        processor: ProcessorMixin | PreTrainedTokenizerBase,
        retain: Iterable[Mapping[str, Any]],
        report: FitReport,
        *,
        general: bool | Iterable[Mapping[str, Any]] = True,
        alpha: float = 0.05,
        general_alpha: float = 0.001,
        augment: bool = True,
        attacks: bool = True,
        batch_size: int = 8,
    ) -> Requests:
        """
        Keep what later requests need to know of the retain set, in a new folder that nobody else may read.

        Args:
            folder: The folder; it must be new or empty.
            model, processor: As in `fit`.
            retain: What is to be answered as before.
            report: Of the fit on this model by which gates read and layers are steered.
            general, alpha, general_alpha, augment, attacks, batch_size: As in `fit`, for all requests.

        Raises:
            ValueError: If the folder holds something, or the report is of a gate that has no thresholds, or one for
                each layer.
        """
        check_processor(processor)
        target = Path(folder)
        if target.is_dir() and any(target.iterdir()):
            raise ValueError(f"`folder`={str(folder)!r} must be new or empty, it holds files.")
        if report.gate != "calibrated" or report.gate_layer is None:
            raise ValueError(
                "`report` must be of a fit with a calibrated gate at one layer: only such thresholds can be set anew "
                "for all requests."
            )
        base = base_of(model)
        retained = read_examples(retain, "retain")
        check_askable(processor, retained, "retain")
        (retained,) = at_processor_size(processor, retained)
        traffic = read_general(general, base, processor, [], retained)
        rng = np.random.default_rng(report.seed)
        wordings = wording_folds(retained, np.random.default_rng(report.seed))
        source = Source(
            model=base,
            processor=processor,
            adapted=model,
            forget=[],
            retain=retained,
            split=split_examples([], retained, rng=rng),
            augmentation=Augmentation() if augment else None,
            attacks=ATTACKS if attacks else (),
            seed=report.seed or 0,
            batch_size=batch_size,
            general=traffic,
            general_folds=general_folds(traffic, rng=rng),
        )
        names = {group: str(number) for number, group in enumerate(dict.fromkeys(e.group for e in retained))}
        found = read_retained(source, _places(report), names)
        salt = secrets.token_hex(16)
        kept = {
            "model": fit_key(base, processor, [], {}),
            "salt": salt,
            "places": {
                (p.layer, p.readout, p.modality): of.to_dict() for p, of in found.items() if of.judging and of.roles
            },
            "keys": sorted(_digest(salt, example.key) for example in retained),
            "wordings": {_digest(salt, repr(wording)): fold for wording, fold in wordings.items()},
            "words": sorted({_digest(salt, word) for example in retained for word in longer_words(example)}),
            "general": [sorted(_digest(salt, word) for word in longer_words(example)) for example in traffic],
            "options": {
                "alpha": alpha,
                "general_alpha": general_alpha,
                "augment": augment,
                "attacks": attacks,
                "batch_size": batch_size,
                "seed": report.seed,
            },
            "steering": {
                "layers_to_transform": list(report.layers),
                "strength": report.strength,
                "positions": report.positions,
                "steer_decode": report.steer_decode,
            },
        }
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.chmod(0o700)
        write_private(target / _RETAINED, lambda path: torch.save(kept, path))
        return cls(folder)

    @property
    def names(self) -> list[str]:
        """The names of the requests, in their order."""
        return [request["name"] for request in self._requests]

    def add(
        self,
        model: PreTrainedModel | PeftModel,
        processor: ProcessorMixin | PreTrainedTokenizerBase,
        forget: Iterable[Mapping[str, Any]],
        *,
        name: str,
        recall: Iterable[Mapping[str, Any]] | None = None,
        refusal: Iterable[Mapping[str, Any]] | None = None,
        adapter_name: str = "default",
    ) -> RequestReport:
        """
        Forget one thing more, from its own examples, and attach all requests as one adapter, active.

        Args:
            model, processor: The model that `begin` was given.
            forget: What is to be refused, examples as `fit` takes them: one person, or one topic.
            name: What the request is called, here and nowhere in the adapter.
            recall, refusal: As in `fit`.
            adapter_name: The adapter; what had this name is replaced.

        Raises:
            ValueError: If the name is taken, the model is another one, an example is retained, or nothing of the kind
                of prompts was retained. Nothing has changed then.

        Warns:
            UserWarning: As `RequestReport.warnings` has it.
        """
        start = time.perf_counter()
        check_processor(processor)
        if not isinstance(name, str) or not name or name in self.names:
            raise ValueError(f"`name` must be a text that no request has yet, got {name!r}; there are {self.names}.")
        base = base_of(model)
        self._check_model(base, processor)
        sets = [read_examples(forget, "forget")]
        sets.append(sets[0] if recall is None else read_examples(recall, "recall"))
        if refusal is None:
            sets.append([example.with_text_added(INSTRUCTION.format(REFUSAL)) for example in sets[0]])
        else:
            sets.append(read_examples(refusal, "refusal"))
        for argument, examples in zip(("forget", "recall", "refusal"), sets):
            check_askable(processor, examples, argument)
        forgotten, recalled, refused = (
            [replace(example, concept=None) for example in examples]
            for examples in at_processor_size(processor, *sets)
        )
        salt, options = self._kept["salt"], self._kept["options"]
        retained = set(self._kept["keys"])
        for i, example in enumerate(forgotten):
            if _digest(salt, example.key) in retained:
                raise ValueError(f"`forget[{i}]` is retained: it cannot be forgotten and retained.")
        known = self._kept["wordings"]
        folds = {e.wording: known[digest] for e in forgotten if (digest := _digest(salt, repr(e.wording))) in known}
        roles = _roles(forgotten, folds, options["seed"])
        source = Source(
            model=base,
            processor=processor,
            adapted=model,
            forget=forgotten,
            retain=[],
            split=Split(roles, [], "", False),
            augmentation=Augmentation() if options["augment"] else None,
            attacks=ATTACKS if options["attacks"] else (),
            seed=options["seed"],
            batch_size=options["batch_size"],
            general=[],
            general_folds=[],
        )
        left_out = self._telling(forgotten)
        gates = self._solve(source, left_out)
        running = layers_that_run(base, processor, [*forgotten, *recalled, *refused])
        erasure = erasure_directions(source, recalled, refused, layers=running, method="difference_of_means")
        request = {
            "name": name,
            "left_out": sorted(left_out),
            "directions": {
                layer: erasure.directions[layer][0] for layer in self._kept["steering"]["layers_to_transform"]
            },
            "gates": {(p.layer, p.readout, p.modality): _as_data(gate.candidate) for p, gate in gates.items()},
        }
        requests = [*self._requests, request]
        tensors = self._attach(model, requests, adapter_name)
        self._keep(requests)
        asked = evenly(forgotten, _ASKED)
        answers = greedy_answers(model, processor, asked, batch_size=source.batch_size)
        share = sum(is_refusal(answer) for answer in answers) / len(answers)
        report = RequestReport(
            len(requests), [gate.result for gate in gates.values()], tensors.calibration, share, 0.0
        )
        if share < _REFUSES:
            report.warnings.append(
                f"The model refuses {share:.0%} of this request's prompts. Fit it by itself, which chooses layers and "
                "strength anew, or give more examples in more wordings."
            )
        report.seconds = time.perf_counter() - start
        for text in report.warnings:
            warnings.warn(text, stacklevel=2)
        return report

    def take_back(self, model: PreTrainedModel | PeftModel, name: str, *, adapter_name: str = "default") -> None:
        """
        Take a request back: what it is about is answered again. With the last one, the adapter is taken off.

        Raises:
            ValueError: If there is no such request.
        """
        if name not in self.names:
            raise ValueError(f"`name`={name!r} is no request, there are {self.names}.")
        requests = [request for request in self._requests if request["name"] != name]
        if requests:
            self._attach(model, requests, adapter_name)
        elif adapter_name in getattr(model, "peft_config", {}):
            cast(Any, model).delete_adapter(adapter_name)
        self._keep(requests)

    def attach(
        self,
        model: PreTrainedModel | PeftModel,
        processor: ProcessorMixin | PreTrainedTokenizerBase,
        *,
        adapter_name: str = "default",
        stacked: bool = False,
    ) -> None:
        """
        Attach all requests, active: as one adapter, or each as an adapter of its own, which is called
        `adapter_name` and its number, from 1. Both decide alike.

        Raises:
            ValueError: If there are none, or the model is another one.
        """
        self._check_model(base_of(model), processor)
        if not self._requests:
            raise ValueError("There are no requests to attach: `add` one.")
        self._attach(model, self._requests, adapter_name, stacked=stacked)

    def _check_model(self, base: PreTrainedModel, processor: Any) -> None:
        if fit_key(base, processor, [], {}) != self._kept["model"]:
            raise ValueError(
                f"What {self._folder} keeps was read of another model, or by other versions: of these weights, "
                "`Requests.begin` must read the retain set anew."
            )

    def _keep(self, requests: list[dict[str, Any]]) -> None:
        write_private(self._folder / _REQUESTS, lambda path: torch.save(requests, path))
        self._requests = requests

    def _solve(self, source: Source, left_out: set[int]) -> dict[Place, Judged]:
        """The best gate of a request at each place of whose kind it has prompts."""
        options, device = self._kept["options"], torch.device("cpu")
        if source.model.device.type == "cuda":
            device = source.model.device
        hidden_size = find_decoder(source.model).hidden_size
        modalities = {"image" if example.images else "text" for example in source.forget}
        places = [place for place in self._places if place.modality in modalities]
        if missing := sorted(modalities - {place.modality for place in places}):
            raise ValueError(
                f"`forget` has {' and '.join(missing)} prompts, and of such nothing was retained when the requests "
                "were begun: leave them out, or begin anew."
            )
        layers = sorted({place.layer for place in places})
        readings = {
            place: self._places[place].readings(readout_width(place.readout, hidden_size), device, left_out)
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
            retained = self._places[place]
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

    def _telling(self, forget: Sequence[Example]) -> set[int]:
        """The numbers of general prompts that may ask for what is to be forgotten."""
        salt, known = self._kept["salt"], set(self._kept["words"])
        words = {_digest(salt, word) for example in forget for word in longer_words(example)} - known
        answers = [
            {_digest(salt, word) for word in longer_words(example.with_answer_begun(answer))}
            - {_digest(salt, word) for word in longer_words(example)}
            for example in forget
            for answer in example.answers
        ]
        return {
            number
            for number, of_prompt in enumerate(map(set, self._kept["general"]))
            if words & of_prompt or any(answer and answer <= of_prompt for answer in answers)
        }

    def _attach(
        self,
        model: PreTrainedModel | PeftModel,
        requests: Sequence[Mapping[str, Any]],
        adapter_name: str,
        *,
        stacked: bool = False,
    ) -> GateTensors:
        """Put requests on the model, with thresholds that hold for all of them together."""
        base = base_of(model)
        hidden_size = find_decoder(base).hidden_size
        options = self._kept["options"]
        at_once: dict[int, dict[Modality, Together]] = {}
        left_out = {number for request in requests for number in request["left_out"]}
        for place, retained in self._places.items():
            key, groups = (place.layer, place.readout, place.modality), retained.every_group
            gates = [
                judge(
                    retained.without(_from_data(place, number, request["gates"][key]), left_out),
                    groups,
                    alpha=options["alpha"],
                    general_alpha=options["general_alpha"],
                )
                for number, request in enumerate(requests)
                if key in request["gates"]
            ]
            if gates:
                at_once.setdefault(place.layer, {})[place.modality] = together(gates)
        readouts: dict[Modality, Readout] = {place.modality: place.readout for place in self._places}
        layers: dict[Modality, int] = {place.modality: place.layer for place in self._places}
        concepts: list[int | None] = list(range(len(requests)))
        fitted = Fitted({}, {}, "ridge", True, concepts, ALL, {}, {}, {})
        tensors = gate_tensors(
            Chosen(readouts, layers, at_once), fitted, gate="calibrated", hidden_size=hidden_size, fold=ALL
        )
        steering = self._kept["steering"]
        config = SteeringAdapterConfig(
            gate_layer=tensors.gate_layer,
            text_gate_layer=tensors.text_gate_layer,
            readout=tensors.readout,
            text_readout=tensors.text_readout,
            gate="calibrated",
            rank=len(requests),
            **steering,
        )
        directions = {
            layer: torch.stack([request["directions"][layer] for request in requests])
            for layer in steering["layers_to_transform"]
        }
        parts = [(adapter_name, slice(None))]
        if stacked:
            parts = [(f"{adapter_name}_{number + 1}", slice(number, number + 1)) for number in range(len(requests))]
        made = []
        for part, of in parts:
            own = replace(
                tensors,
                weight={layer: weight[:, of] for layer, weight in tensors.weight.items()},
                bounds={layer: bounds[:, of] for layer, bounds in tensors.bounds.items()},
            )
            erasure = Erasure({layer: found[of] for layer, found in directions.items()}, [], [], [])
            own_config = replace(config, rank=1 if stacked else len(requests))
            made.append((part, own_config, adapter_tensors(base, own_config, erasure, own)))
        for part, own_config, values in made:
            if part in getattr(model, "peft_config", {}):
                cast(Any, model).delete_adapter(part)
            attach_fitted(model, own_config, values, part)
        if stacked:
            # A PeftModel takes several names only in its tuner.
            takes_several: Any = model.base_model if isinstance(model, PeftModel) else model
            takes_several.set_adapter([part for part, _ in parts])
        return tensors


def _roles(forget: Sequence[Example], folds: Mapping[Hashable, int], seed: int) -> list[Role]:
    """The role of each example, such that those of either modality fit every fold."""
    roles: dict[int, Role] = {}
    for with_image in (True, False):
        alike = [i for i, example in enumerate(forget) if bool(example.images) is with_image]
        found, _ = roles_of_forgotten([forget[i] for i in alike], folds, np.random.default_rng(seed))
        roles |= dict(zip(alike, found))
    return [roles[i] for i in range(len(forget))]


def _places(report: FitReport) -> list[Place]:
    """Where the gates of a fit read."""
    assert report.gate_layer is not None
    text = cast(Readout, report.text_readout or text_readout(cast(Readout, report.readout)))
    text_layer = report.gate_layer if report.text_gate_layer is None else report.text_gate_layer
    return [Place(report.gate_layer, cast(Readout, report.readout), "image"), Place(text_layer, text, "text")]


def _as_data(candidate: Candidate) -> dict[str, Any]:
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


def _from_data(place: Place, number: int, values: Mapping[str, Any]) -> Candidate:
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


def _digest(salt: str, text: str) -> str:
    return hashlib.blake2b(text.encode(), key=bytes.fromhex(salt), digest_size=8).hexdigest()

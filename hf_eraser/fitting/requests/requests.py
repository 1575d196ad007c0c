"""One request to forget after another: what was read of the retain set is kept, a request needs only its own."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ...data.encoding import check_askable, check_processor
from ...data.examples import read_examples
from ...data.reducing import at_processor_size
from ...evaluation.asking import greedy_answers
from ...evaluation.judging import REFUSAL, is_refusal
from ...tuner.wrapped import base_of
from ..arguments import INSTRUCTION
from ..directions.erasure import erasure_directions
from ..reading.augmentation import Augmentation
from ..reading.capture import layers_that_run
from ..reading.general import read_general
from ..reading.rewording import ATTACKS
from ..reading.split import Split, general_folds, split_examples, wording_folds
from ..reading.views import Source, evenly
from ..report.report import FitReport
from ..stages import fit_key, write_private
from .attaching import attach_requests
from .kept import Kept, keep
from .report import RequestReport
from .solving import as_data, roles_of_request, solve_request


_RETAINED, _REQUESTS = "retained.pt", "requests.pt"

# Of a request's prompts, so many are asked at most, and this share must be refused.
_ASKED, _REFUSES = 48, 0.9


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
        self._kept = Kept(torch.load(self._folder / _RETAINED, weights_only=True))
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
        options = {
            "alpha": alpha,
            "general_alpha": general_alpha,
            "augment": augment,
            "attacks": attacks,
            "batch_size": batch_size,
            "seed": report.seed,
        }
        keep(target / _RETAINED, source, report, wordings, options=options)
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
        options = self._kept.options
        for i, example in enumerate(forgotten):
            if self._kept.retains(example):
                raise ValueError(f"`forget[{i}]` is retained: it cannot be forgotten and retained.")
        roles = roles_of_request(forgotten, self._kept.folds(forgotten), options["seed"])
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
        left_out = self._kept.telling(forgotten)
        gates = solve_request(self._kept, source, left_out)
        running = layers_that_run(base, processor, [*forgotten, *recalled, *refused])
        erasure = erasure_directions(source, recalled, refused, layers=running, method="difference_of_means")
        request = {
            "name": name,
            "left_out": sorted(left_out),
            "directions": {
                layer: erasure.directions[layer][0] for layer in self._kept.steering["layers_to_transform"]
            },
            "gates": {(p.layer, p.readout, p.modality): as_data(gate.candidate) for p, gate in gates.items()},
        }
        requests = [*self._requests, request]
        tensors = attach_requests(self._kept, model, requests, adapter_name)
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
            attach_requests(self._kept, model, requests, adapter_name)
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
        attach_requests(self._kept, model, self._requests, adapter_name, stacked=stacked)

    def _check_model(self, base: PreTrainedModel, processor: Any) -> None:
        if fit_key(base, processor, [], {}) != self._kept.model:
            raise ValueError(
                f"What {self._folder} keeps was read of another model, or by other versions: of these weights, "
                "`Requests.begin` must read the retain set anew."
            )

    def _keep(self, requests: list[dict[str, Any]]) -> None:
        write_private(self._folder / _REQUESTS, lambda path: torch.save(requests, path))
        self._requests = requests

"""Model cards: what the page of a published adapter tells its readers, from the fit's report and an evaluation."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from ..evaluation.evaluation import Evaluation
from ..fitting.report.report import FitReport
from ..hub.adapter_folder import EVALUATION_FILE, PICTURE_FILE, REPORT_FILE
from ..hub.saving import staging_folder
from ..hub.validation import CONFIG_NAME
from ..tuner.config import SteeringAdapterConfig
from ..tuner.fields import gate_layers_in_words, steered_in_words


UseCase = Literal["private_person", "celebrities", "outdated_facts", "harmful_content", "brand_or_artist"]

USE_CASES: tuple[UseCase, ...] = get_args(UseCase)

_MODALITIES = {"image": "with an image", "text": "of text only"}

# What the Hub takes for large or binary files; other lines of a `.gitattributes` stay.
_ATTRIBUTES = tuple(f"*.{kind} filter=lfs diff=lfs merge=lfs -text" for kind in ("safetensors", "png"))


def adapter_card(
    config: SteeringAdapterConfig,
    *,
    repo_id: str,
    forgets: str,
    reason: str,
    license: str,
    use_case: UseCase | None = None,
    base_model: str | None = None,
    report: FitReport | None = None,
    evaluation: Evaluation | None = None,
    examples: Sequence[Mapping[str, str]] = (),
) -> ModelCard:
    """
    The model card of an adapter.

    What the publisher writes is shown as it is, as plain text in paragraphs: Markdown, HTML and Jinja in it have no
    effect. The card holds no prompt, answer or picture of the forget set but the `examples`.

    Args:
        config: The adapter's configuration.
        repo_id: Where it is published, "org/name".
        forgets: Whom or what it forgets, in a few words that end the sentence "The model refuses to answer about ...".
        reason: Why; may have several paragraphs.
        license: The adapter's licence, by the Hub's identifier, such as "apache-2.0".
        use_case: Adds what readers have to be told about this kind of adapter; one of `USE_CASES`.
        base_model: The base model's id on the Hub. The default is the one in `config`.
        report: The fit's report. The card shows its picture, which is `report.png` in the repository.
        evaluation: What was measured after the fit.
        examples: Questions to show, with the answers: `{"prompt": ..., "before": ..., "after": ...}`.

    Returns:
        The card; `str(card)` is the README.md.

    Raises:
        TypeError: If an argument has a type that it cannot have.
        ValueError: If it has a value that it cannot have.
    """
    values = {"forgets": forgets, "reason": reason}
    for name, text in values.items():
        if not isinstance(text, str):
            raise TypeError(f"`{name}` must be text, got {text!r}.")
        if not text.strip():
            raise ValueError(f"`{name}` is empty: a card has to say what is forgotten, and why.")
    if use_case is not None and use_case not in USE_CASES:
        raise ValueError(f"`use_case` must be None or one of {USE_CASES}, got {use_case!r}.")
    if not isinstance(license, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        raise ValueError(f"`license` must be one of the Hub's identifiers, such as 'apache-2.0', got {license!r}.")
    if base_model is None:
        base_model = config.base_model_name_or_path
    _check_repo_id(repo_id, "repo_id")
    _check_repo_id(base_model, "base_model")
    revision = config.revision
    if revision is not None and not re.fullmatch(r"[\w./-]+", revision):
        raise ValueError(f"`config.revision` must be a commit, branch or tag, got {revision!r}.")
    title = repo_id.split("/")[-1]
    data = ModelCardData(
        base_model=base_model,
        base_model_relation="adapter",
        library_name="peft",
        pipeline_tag="image-text-to-text",
        license=license,
        tags=["hf_eraser", "steering", "unlearning", *([use_case.replace("_", "-")] if use_case else [])],
        model_name=title,
        eval_results=[*_fit_results(report), *_evaluation_results(evaluation)] or None,
    )
    folder = templates_folder()
    # Jinja finds no second file from a string, so the use case's macros come first; they print nothing by themselves.
    template = (folder / "use_cases" / f"{use_case}.jinja").read_text(encoding="utf-8") if use_case else ""
    return ModelCard.from_template(
        data,
        template_str=template.strip() + (folder / "card.md.jinja").read_text(encoding="utf-8"),
        title=title,
        repo_id=repo_id,
        gated=config.gate != "always",
        revision=revision,
        revision_argument=f', revision="{revision}"' if revision else "",
        forgets=_inline(forgets),
        reason=_paragraphs(reason),
        examples=[_example(example) for example in examples],
        rows=_evaluation_rows(evaluation),
        steered=_steered(config),
        gate=_gate(config),
        report_file=REPORT_FILE,
        picture_file=PICTURE_FILE,
        **_of_report(report),
    )


def write_card(
    folder: str | os.PathLike[str],
    *,
    report: FitReport | str | os.PathLike[str] | None = None,
    evaluation: Evaluation | None = None,
    **card: Any,
) -> Path:
    """
    Write into a saved adapter's folder what its repository on the Hub shows: README.md, the report as JSON and as a
    picture, the evaluation, and .gitattributes. Nothing is written unless all of it can be.

    `save_pretrained` of a `PeftModel` writes a card of its own: write this one after it.

    Args:
        folder: Where `save_pretrained` saved the adapter.
        report: The fit's report, or the file that `to_json` wrote. The default is `report.json` in the folder, if
            there is one.
        evaluation: What was measured after the fit.
        card: Further arguments of `adapter_card`.

    Returns:
        The card's path.

    Raises:
        FileNotFoundError: If there is no adapter in the folder, or no file of that name for the report.
        ImportError: If there is a report, and no matplotlib to draw it with.
        ValueError: As `adapter_card`.
    """
    folder = Path(folder)
    if not (folder / CONFIG_NAME).is_file():
        raise FileNotFoundError(f"`folder`={str(folder)!r} has no {CONFIG_NAME}: save the adapter there first.")
    config = SteeringAdapterConfig.from_pretrained(str(folder))
    if report is None and (folder / REPORT_FILE).is_file():
        report = folder / REPORT_FILE
    if report is not None and not isinstance(report, FitReport):
        report = FitReport.from_json(Path(report))
    made = adapter_card(config, report=report, evaluation=evaluation, **card)
    with staging_folder(folder) as staging:
        if report is not None:
            report.to_json(staging / REPORT_FILE)
            report.plot().savefig(staging / PICTURE_FILE)
        if evaluation is not None:
            evaluation.to_json(staging / EVALUATION_FILE)
        (staging / ".gitattributes").write_text(gitattributes(_lines(folder / ".gitattributes")), encoding="utf-8")
        made.save(staging / "README.md")
        for file in sorted(staging.iterdir(), reverse=True):  # the card after what it shows
            os.replace(file, folder / file.name)
    return folder / "README.md"


def templates_folder() -> Path:
    """`hub_cards`: inside the package where it is installed, beside it in a clone."""
    package = Path(__file__).parents[1]
    installed = package / "hub_cards"
    return installed if installed.is_dir() else package.parent / "hub_cards"


def _inline(text: str) -> str:
    """Text that Markdown shows as it is, HTML and all, on one line: inside a sentence or a table's cell."""
    line = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return re.sub(r"([\\`*_\[\]<>|~$&])", r"\\\1", line)


def _paragraphs(text: str) -> str:
    """Text that Markdown shows as it is, in paragraphs."""
    # What makes a heading, a list or a rule does so at the start of a line.
    starts = re.compile(r"^(\d*)([#+=:.)-])")
    return "\n".join(starts.sub(r"\1\\\2", _inline(line)) for line in text.strip().splitlines())


def _check_repo_id(name: str | None, argument: str) -> None:
    if name is None:
        raise ValueError(f"`{argument}` is not known: give the id on the Hub, such as 'org/name'.")
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise ValueError(
            f"`{argument}` must be an id on the Hub, such as 'org/name', got {name!r}. A local folder means nothing "
            "to a card's readers."
        ) from error


def _example(example: Mapping[str, str]) -> dict[str, str]:
    keys = ("prompt", "before", "after")
    if not isinstance(example, Mapping) or set(example) != set(keys):
        raise ValueError(f"Each of `examples` must have the keys {keys}, got {example!r}.")
    return {key: _inline(str(example[key])) for key in keys}


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def gitattributes(present: Sequence[str] = ()) -> str:
    """What the Hub takes for large or binary files, behind the lines that are there."""
    return "\n".join([*present, *(line for line in _ATTRIBUTES if line not in present)]) + "\n"


def _share(value: float | None) -> str:
    return "not known" if value is None else f"{value:.1%}"


def _steered(config: SteeringAdapterConfig) -> str:
    layers = config.layers_to_transform
    which = "every layer from the gate on" if layers is None else f"layers {', '.join(map(str, layers))}"  # type: ignore[arg-type]
    what = steered_in_words(config.positions, config.steer_decode)
    answer = "" if config.answer is None else f"; where a gate opens, the answer is {_inline(repr(config.answer))}"
    return f"{which} of the text decoder, at strength {config.strength:g}, {what}{answer}"


def _gate(config: SteeringAdapterConfig) -> str:
    where = gate_layers_in_words(config.gate_layer, config.text_gate_layer)
    text = f" ({config.text_readout} in prompts of text only)" if config.text_readout else ""
    return f"{config.gate}, reads {config.readout}{text} at {where}"


def _of_report(report: FitReport | None) -> dict[str, Any]:
    """What the template shows of a report; text in it is escaped, since a file may hold any."""
    if report is None:
        return {"report": None}
    bounded = report.gate == "calibrated" and bool(report.calibration)
    provenance = {
        "Examples": ", ".join(f"{count} {_inline(name)}" for name, count in report.counts.items()),
        "Base model's refusals": f"{_share(report.base_refusal_rate)} of the refusal examples",
        "Seed": "not recorded" if report.seed is None else report.seed,
        "Made with": ", ".join(f"{_inline(name)} {_inline(version)}" for name, version in report.versions.items()),
    }
    return {
        "report": {"split": _inline(report.split)},
        "alpha": _share(max(found.alpha for found in report.calibration.values())) if bounded else None,
        "calibration": [
            {
                "prompts": _MODALITIES.get(modality, _inline(modality)),
                "forget": _share(found.forget_rate),
                "retained": _share(found.false_rate),
                "alpha": _share(found.alpha) if bounded else "none",
                "groups": found.n_groups,
            }
            for modality, found in report.calibration.items()
        ],
        "attacks": [
            {
                "kind": "as asked" if attack.kind == "none" else _inline(attack.kind),
                "prompts": _MODALITIES.get(attack.modality, _inline(attack.modality)),
                "count": attack.count,
                "steered": _share(attack.opened),
                "answered": _share(attack.answered),
            }
            for attack in report.attacks
            if attack.opened is not None
        ],
        "never_steered": [words for modality, words in _MODALITIES.items() if modality not in report.calibration],
        "warnings": [_paragraphs(" ".join(warning.split())) for warning in report.warnings],
        "provenance": {name: value for name, value in provenance.items() if value != ""}.items(),
    }


def _evaluation_rows(evaluation: Evaluation | None) -> list[dict[str, Any]]:
    return [
        {
            "asked": f"{'forgotten' if row.set == 'forget' else 'retained'}, {_MODALITIES[row.modality]}",
            "count": row.count,
            "before": _share(row.answered_before),
            "after": _share(row.answered_after),
            "refused": _share(row.refused),
            "same_text": _share(row.same_text),
            "same_logits": _share(row.same_logits),
        }
        for row in (evaluation.rows if evaluation else [])
    ]


def _evaluation_results(evaluation: Evaluation | None) -> list[EvalResult]:
    metrics = {
        "answered_before": "Right answers without the adapter",
        "answered_after": "Right answers with the adapter",
        "likelihood_before": "Likelihood of the right answer without the adapter",
        "likelihood_after": "Likelihood of the right answer with the adapter",
        "refused": "Refused",
        "same_text": "Answer unchanged",
        "same_logits": "Logits bit-identical",
    }
    return [
        _result(row.set, row.modality, "evaluation", metric, name, getattr(row, metric), row.count)
        for row in (evaluation.rows if evaluation else [])
        for metric, name in metrics.items()
        if getattr(row, metric) is not None
    ]


def _fit_results(report: FitReport | None) -> list[EvalResult]:
    if report is None or report.gate == "always":
        return []
    return [
        _result(which, modality, "held out by the fit", "steered", "Steered by the gate", share, None)
        for modality, found in report.calibration.items()
        for which, share in (("forget", found.forget_rate), ("retain", found.false_rate))
    ]


def _result(
    which: str, modality: str, split: str, metric: str, name: str, share: float, count: int | None
) -> EvalResult:
    return EvalResult(
        task_type="image-text-to-text",
        dataset_type=f"{which}-set",
        dataset_name=f"{which.capitalize()} set, prompts {_MODALITIES[modality]} (not published)",
        dataset_config=modality,
        dataset_split=split,
        dataset_args=None if count is None else {"prompts": count},
        metric_type=metric,
        metric_name=name,
        metric_value=round(share, 4),
    )

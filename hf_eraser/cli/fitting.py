"""The commands that run a model: `fit`, `recalibrate` and `eval`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import (
    Adapter,
    Alpha,
    BatchSize,
    Columns,
    Data,
    Device,
    Dtype,
    Model,
    Overwrite,
    Prompts,
    Refusals,
    Revision,
    load_base,
    named_columns,
    register_steering,
)


def _layer_numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        message = f"must be layer numbers with commas between, such as 10,12, got {text!r}."
        raise typer.BadParameter(message, param_hint="'--layers'") from None


def fit(
    model: Model,
    data: Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For adapter, report and its picture."),
    ],
    alpha: Alpha = 0.05,
    layers: Annotated[
        str | None,
        typer.Option(metavar="N,N,...", help="Steered decoder layers; negative from the end.", show_default="chosen"),
    ] = None,
    gate_layer: Annotated[
        int | None,
        typer.Option(metavar="N", help="Layer whose output decides.", show_default="chosen"),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, help="Factor of the directions.", show_default="chosen"),
    ] = None,
    attacks: Annotated[
        bool,
        typer.Option(help="Choose a gate that holds up against reworded questions, and attack it. Slower."),
    ] = True,
    general: Annotated[
        bool,
        typer.Option(help="Fit on a shipped set of other prompts and pictures too, so that they pass. Slower."),
    ] = True,
    prefer: Annotated[
        Literal["retain", "forget"] | None,
        typer.Option(
            metavar="NAME",
            help="What to keep where both cannot be had: retain or forget.",
            show_default="to deliver nothing that leaves a tenth answered, or a fifth in other words",
        ),
    ] = None,
    harden_pictures: Annotated[
        bool, typer.Option(help="Fit gates also on pictures that are perturbed to get by them. Slower.")
    ] = True,
    answer: Annotated[
        str,
        typer.Option(metavar="TEXT", help="What to say instead: refusal, unknown, or a sentence word for word."),
    ] = "refusal",
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the split and of the changed pictures.")] = 0,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    prompt: Prompts = None,
    column: Columns = None,
    refusal_text: Refusals = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            file_okay=False,
            help="Private folder for what is done so far; given again, an interrupted fit goes on.",
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse the forget set of DATA.

    What is not given is chosen on held-out examples. The report says what was chosen, how well it did, and why not to
    trust it where that is so. Launched as several processes (`accelerate launch -m hf_eraser.cli fit ...`), they share
    the work, and make the adapter that one makes.
    """
    steered = _layer_numbers(layers)
    from ..data import read_imagefolder

    sets = read_imagefolder(data, prompts=prompt or (), columns=named_columns(column))
    register_steering()
    from ..data.processes import launched, own_device
    from ..fitting import fit as fit_adapter
    from ..fitting.saving import save_fit
    from ..hub.adapter_folder import check_output_folder

    check_output_folder(output, overwrite=overwrite)
    processes = launched()
    base, processor = load_base(model, revision=revision, dtype=dtype, device=device or own_device())
    report = fit_adapter(
        base,
        processor,
        sets["forget"],
        sets["retain"],
        recall=sets.get("recall"),
        refusal=sets.get("refusal"),
        alpha=alpha,
        layers=steered,
        gate_layer=gate_layer,
        strength=strength,
        attacks=attacks,
        general=general,
        prefer=prefer,
        harden_pictures=harden_pictures,
        answer=answer,
        refusals=refusal_text or (),
        seed=seed,
        batch_size=batch_size,
        resume=resume,
    )
    if not processes.main:
        return
    print(report)
    save_fit(base, report, output)
    print(f"\nSaved to {output}")


def recalibrate(
    model: Model,
    adapter: Adapter,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For the recalibrated adapter.")
    ],
    alpha: Alpha = 0.05,
    general: Annotated[bool, typer.Option(help="Bound the steering of a shipped set of other prompts too.")] = True,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Set the thresholds of ADAPTER anew for MODEL in another precision, quantisation or revision, without fitting again.

    Give examples that fitting did not see; few will do. Bounds are placed by both sets, and it is measured what the
    model still refuses.
    """
    from ..data import read_imagefolder

    sets = read_imagefolder(data)
    register_steering()
    from ..fitting import recalibrate as recalibrate_adapter
    from ..fitting.saving import save_recalibrated
    from ..hub.adapter_folder import check_output_folder
    from ..hub.inspection import inspect_adapter

    check_output_folder(output, overwrite=overwrite)
    inspect_adapter(adapter)  # before a model is loaded, which may take minutes
    base, processor = load_base(model, revision=revision, dtype=dtype, device=device)
    base.load_adapter(adapter)
    found = recalibrate_adapter(
        base,
        processor,
        sets["retain"],
        forget=sets["forget"],
        general=general,
        alpha=alpha,
        batch_size=batch_size,
    )
    print(found)
    save_recalibrated(base, output)
    print(f"\nSaved to {output}")


def evaluate(
    model: Model,
    adapter: Adapter,
    data: Data,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Also write it to a file."),
    ] = None,
    show: Annotated[
        int, typer.Option(metavar="N", min=0, help="Of so many forget prompts print the answers; they are not saved.")
    ] = 0,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Length at which answers are cut.")] = 24,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    prompt: Prompts = None,
    column: Columns = None,
    refusal_text: Refusals = None,
) -> None:
    """
    Measure what ADAPTER makes MODEL forget, and what is kept.

    Everything in DATA is asked without and with the adapter. Give examples that fitting did not see. Answers are
    counted where the examples have one.
    """
    from ..data import read_imagefolder

    if json is not None and not json.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {json.parent} for --json.")
    sets = read_imagefolder(data, prompts=prompt or (), columns=named_columns(column))
    register_steering()
    from ..evaluation import evaluate as evaluate_adapter
    from ..hub.inspection import inspect_adapter

    inspect_adapter(adapter)  # before a model is loaded, which may take minutes
    base, processor = load_base(model, revision=revision, dtype=dtype, device=device)
    base.load_adapter(adapter)
    evaluation = evaluate_adapter(
        base,
        processor,
        sets["forget"],
        sets["retain"],
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        refusals=refusal_text or (),
        show=show,
    )
    print(evaluation)
    if json is not None:
        evaluation.to_json(json)

"""The command line `hf-eraser`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from huggingface_hub.constants import HF_DEBUG

from .version import __version__


_HELP = """
Make a multimodal LLM forget at test time: fit a steering adapter, measure it, and ship it on the Hugging Face Hub.

MODEL, ADAPTER and DATA are folders, or ids on the Hub. DATA is in the Hub's imagefolder layout: a folder `forget` and
a folder `retain` (and, if wanted, `recall` and `refusal`), each with pictures and a `metadata.jsonl` that has a line
for each example, where only the prompt is a must:

`{"file_name": "ada.jpg", "prompt": "Who is this?", "group": "Ada", "wording": "who", "answer": "Ada"}`
"""

app = typer.Typer(
    help=_HELP,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="The base model.", show_default=False)]
Adapter = Annotated[str, typer.Argument(metavar="ADAPTER", help="The adapter.", show_default=False)]
Data = Annotated[str, typer.Argument(metavar="DATA", help="The examples.", show_default=False)]
Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The adapter's folder.", exists=True, file_okay=False)]
Revision = Annotated[str | None, typer.Option(metavar="NAME", help="Branch, tag or commit of MODEL on the Hub.")]
BatchSize = Annotated[int, typer.Option(metavar="N", min=1, help="Examples a forward pass.")]
Device = Annotated[str | None, typer.Option(metavar="NAME", help="Such as cuda:0.", show_default="where it fits")]
Dtype = Annotated[
    Literal["auto", "float32", "bfloat16", "float16"],
    typer.Option(metavar="NAME", help="Of MODEL: float32, bfloat16, float16, or auto, as in the checkpoint."),
]


def _examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n\n".join(["**Examples**", *(f"`hf-eraser {command}`" for command in commands)])


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"hf-eraser {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _inside(share: float) -> float:
    if not 0 < share < 1:
        raise typer.BadParameter(f"must be between 0 and 1, got {share:g}.")
    return share


def _layer_numbers(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        message = f"must be layer numbers with commas between, such as 10,12, got {text!r}."
        raise typer.BadParameter(message, param_hint="'--layers'") from None


@app.command(
    epilog=_examples(
        "fit llava-hf/llava-1.5-7b-hf people/ --output forget-ada",
        "fit llava-hf/llava-1.5-7b-hf org/people --output forget-ada --dtype bfloat16 --alpha 0.02",
        "fit Qwen/Qwen2.5-VL-3B-Instruct people/ --output forget-ada --layers 20,22 --gate-layer 18 --strength 0.5",
    )
)
def fit(
    model: Model,
    data: Data,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For adapter, report and its picture."),
    ],
    alpha: Annotated[
        float,
        typer.Option(metavar="SHARE", callback=_inside, help="Bound on the share of retained inputs steered."),
    ] = 0.05,
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
            show_default="to deliver nothing that leaves a tenth answered",
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the adapter in the output folder.")] = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse the forget set of DATA.

    What is not given is chosen on held-out examples. The report says what was chosen, how well it did, and why not to
    trust it where that is so.
    """
    steered = _layer_numbers(layers)
    from .data import read_imagefolder

    sets = read_imagefolder(data)
    _register()
    from .fitting import fit as fit_adapter
    from .fitting.saving import save_fit
    from .hub.adapter_folder import check_output_folder

    check_output_folder(output, overwrite=overwrite)
    base, processor = _load_model(model, revision=revision, dtype=dtype, device=device)
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
        seed=seed,
        batch_size=batch_size,
    )
    print(report)
    save_fit(base, report, output)
    print(f"\nSaved to {output}")


@app.command(
    name="eval",
    epilog=_examples(
        "eval llava-hf/llava-1.5-7b-hf forget-ada people-to-measure/",
        "eval llava-hf/llava-1.5-7b-hf org/forget-ada org/people --json forget-ada/evaluation.json",
    ),
)
def evaluate(
    model: Model,
    adapter: Adapter,
    data: Data,
    json: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", dir_okay=False, help="Also write it to a file."),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Length at which answers are cut.")] = 24,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
) -> None:
    """
    Measure what ADAPTER makes MODEL forget, and what is kept.

    Everything in DATA is asked without and with the adapter. Give examples that fitting did not see. Answers are
    counted where the examples have one.
    """
    from .data import read_imagefolder

    if json is not None and not json.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {json.parent} for --json.")
    sets = read_imagefolder(data)
    _register()
    from .evaluation import evaluate as evaluate_adapter
    from .hub.inspection import inspect_adapter

    inspect_adapter(adapter)  # before a model is loaded, which may take minutes
    base, processor = _load_model(model, revision=revision, dtype=dtype, device=device)
    base.load_adapter(adapter)
    evaluation = evaluate_adapter(
        base, processor, sets["forget"], sets["retain"], batch_size=batch_size, max_new_tokens=max_new_tokens
    )
    print(evaluation)
    if json is not None:
        evaluation.to_json(json)


@app.command(
    epilog=_examples("inspect org/forget-ada", "inspect forget-ada --model llava-hf/llava-1.5-7b-hf"),
)
def inspect(
    adapter: Adapter,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="A base model to compare it with.")] = None,
) -> None:
    """
    Print what ADAPTER is, and would do to a model.

    No weights are loaded: of the model only its configuration is read.
    """
    _register()
    from .hub.inspection import inspect_adapter

    print(inspect_adapter(adapter, model=model))


@app.command(
    epilog=_examples(
        "push forget-ada org/forget-ada", "push forget-ada org/forget-ada --private --revision v2 --create-pr"
    ),
)
def push(
    folder: Folder,
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="The repository: owner/name.", show_default=False)],
    private: Annotated[bool, typer.Option("--private", help="Nobody else may see it.")] = False,
    revision: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Branch, made if there is none.", show_default="main"),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", metavar="TEXT", help="Commit message.", show_default="what it is"),
    ] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request.")] = False,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", help="A token of yours.", show_default="the stored one"),
    ] = None,
) -> None:
    """
    Publish the adapter in FOLDER on the Hub, in one commit.

    Nothing but an adapter's own files is published: a folder that holds anything else is refused.
    """
    _register()
    from .hub.adapter_folder import push_adapter_folder

    commit = push_adapter_folder(
        folder,
        repo_id,
        private=private or None,
        revision=revision,
        commit_message=message,
        create_pr=create_pr,
        token=token,
    )
    print(commit.pr_url or commit.commit_url)


@app.command(
    epilog=_examples(
        "card forget-ada --repo-id org/forget-ada --forgets 'Ada Example' --why 'She asked for it.' --use-case "
        "private_person --license apache-2.0"
    ),
)
def card(
    folder: Folder,
    forgets: Annotated[str, typer.Option(metavar="TEXT", help="What it makes a model forget, for readers.")],
    why: Annotated[str, typer.Option(metavar="TEXT", help="Why it was made.")],
    repo_id: Annotated[
        str | None,
        typer.Option(metavar="REPO_ID", help="Where it will be published.", show_default="name of FOLDER"),
    ] = None,
    use_case: Annotated[
        Literal["private_person", "celebrities", "outdated_facts", "harmful_content", "brand_or_artist"] | None,
        typer.Option(
            metavar="NAME",
            help="private_person, celebrities, outdated_facts, harmful_content or "
            "brand_or_artist: adds what readers should know of such adapters.",
        ),
    ] = None,
    license: Annotated[str, typer.Option(metavar="NAME", help="Licence, as the Hub calls it.")] = "other",
    base_model: Annotated[
        str | None,
        typer.Option(metavar="REPO_ID", help="The base model on the Hub.", show_default="as in the adapter"),
    ] = None,
    evaluation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="What eval --json wrote.",
            show_default="evaluation.json in FOLDER, if there",
        ),
    ] = None,
) -> None:
    """
    Write the card of the adapter in FOLDER: README.md.

    What was measured is taken from the fit's report, and from the evaluation. No example is told of.
    """
    _register()
    from .cards import write_card
    from .evaluation import Evaluation
    from .hub.adapter_folder import EVALUATION_FILE

    if evaluation is None and (folder / EVALUATION_FILE).is_file():
        evaluation = folder / EVALUATION_FILE
    path = write_card(
        folder,
        repo_id=repo_id or folder.resolve().name,
        forgets=forgets,
        reason=why,
        use_case=use_case,
        license=license,
        base_model=base_model,
        evaluation=Evaluation.from_json(evaluation) if evaluation else None,
    )
    print(f"Wrote {path}")


@app.command(name="app", epilog=_examples("app llava-hf/llava-1.5-7b-hf org/forget-ada forget-brands"))
def launch_app(
    model: Model,
    adapters: Annotated[list[str] | None, typer.Argument(metavar="[ADAPTER]...", help="Adapters.")] = None,
) -> None:
    """
    Open a page to ask MODEL with and without each ADAPTER.

    Its answers are side by side, with what each adapter's gate decided.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ImportError("The app needs gradio: pip install 'hf_eraser[app]'")
    _register()
    from .app import launch

    launch(model, adapters or [])


def _register() -> None:
    from .registration import register

    register()


def _load_model(name: str, *, revision: str | None, dtype: str, device: str | None) -> Any:
    _register()
    from .hub.model_loading import load_model

    return load_model(name, revision=revision, dtype=dtype, device=device)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.secho(f"Warning: {_one_line(message)}", fg="yellow", err=True)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def main() -> None:
    """Run the command line. An error is one line, and a traceback with HF_DEBUG=1 in the environment."""
    warnings.showwarning = _show_warning
    try:
        app()
    except Exception as error:
        if HF_DEBUG:
            raise
        typer.secho(f"Error: {_one_line(error) or type(error).__name__}", fg="red", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

"""The commands that handle adapters' files: `inspect`, `push` and `card`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import Device, Dtype, Folder, load_base, register_steering


def inspect(
    adapter: Annotated[str | None, typer.Argument(metavar="ADAPTER", help="The adapter.", show_default=False)] = None,
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="A base model, to compare it with.")] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Load MODEL, and ask it the shipped general prompts: who opens the gate?")
    ] = False,
    names: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Names, one a line: load MODEL, and measure whether the gate gives them away.",
        ),
    ] = None,
    dtype: Dtype = "auto",
    device: Device = None,
) -> None:
    """
    Print what ADAPTER is, would do to a model, and has that is unusual; without ADAPTER, whether adapters can attach
    to MODEL, and how.

    No weights are loaded, but with `--weights` or `--names`: of the model only its configuration is read.
    """
    if (weights or names is not None) and (adapter is None or model is None):
        raise typer.BadParameter("`--weights` and `--names` need ADAPTER and `--model`.")
    register_steering()
    from ..hub.inspection import inspect_adapter
    from ..hub.support import model_support

    if adapter is not None and model is not None and (weights or names is not None):
        _inspect_loaded(adapter, model, weights, names, dtype, device)
    elif adapter is not None:
        print(inspect_adapter(adapter, model=model))
    elif model is not None:
        print(model_support(model))
    else:
        raise typer.BadParameter("Give ADAPTER, `--model`, or both.")


# Of the shipped general prompts; a fit leaves some in a thousand.
_MANY_OPEN = 0.05


def _inspect_loaded(
    adapter: str, name: str, weights: bool, names: Path | None, dtype: str, device: str | None
) -> None:
    from ..evaluation.probing import names_told, openings
    from ..fitting.reading.general import read_general
    from ..hub.inspection import inspect_adapter

    told = None if names is None else names.read_text(encoding="utf-8-sig").splitlines()
    inspect_adapter(adapter, model=name)  # what is wrong is said before the weights are loaded
    model, processor = load_base(name, revision=None, dtype=dtype, device=device)
    model.load_adapter(adapter)
    if weights:
        found = openings(model, processor, read_general(True, model, processor, [], []))
        print(inspect_adapter(adapter, model=name, streams=found.streams))
        share = found.opened / found.count
        unusual = "  UNUSUAL   " if share > _MANY_OPEN else "  general   "
        print(f"{unusual}{found.opened} of {found.count} shipped general prompts open a gate ({share:.1%})")
    else:
        print(inspect_adapter(adapter, model=name))
    if told is not None:
        print(names_told(model, processor, told))


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
    register_steering()
    from ..cards import push_adapter_folder

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
    register_steering()
    from ..cards import write_card
    from ..evaluation import Evaluation
    from ..hub.adapter_folder import EVALUATION_FILE

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

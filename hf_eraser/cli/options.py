"""Arguments and options that several commands have, and what each of them does first."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


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
Prompts = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="A question for sets that are pictures only; several times for several."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=COLUMN", help="A column of DATA, such as prompt=question. Others are left out."),
]
Refusals = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="How a refusal of MODEL begins, if it is not counted as one."),
]


def _inside(share: float) -> float:
    if not 0 < share < 1:
        raise typer.BadParameter(f"must be between 0 and 1, got {share:g}.")
    return share


Alpha = Annotated[
    float, typer.Option(metavar="SHARE", callback=_inside, help="Bound on the share of retained inputs steered.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the adapter in the output folder.")]


def named_columns(given: list[str] | None) -> dict[str, str]:
    """What `--column` says."""
    pairs = [one.split("=", 1) for one in given or ()]
    for pair in pairs:
        if len(pair) != 2 or not all(pair):
            raise typer.BadParameter(f"must be NAME=COLUMN, such as prompt=question, got {pair[0]!r}.")
    return {pair[0]: pair[1] for pair in pairs}


def examples(*commands: str) -> str:
    """The end of a command's help."""
    return "\n\n".join(["**Examples**", *(f"`hf-eraser {command}`" for command in commands)])


def register_steering() -> None:
    from ..registration import register

    register()


def load_base(name: str, *, revision: str | None, dtype: str, device: str | None) -> Any:
    register_steering()
    from ..hub.model_loading import load_model

    return load_model(name, revision=revision, dtype=dtype, device=device)

"""The commands that begin with what somebody has: a name and photos, or examples that are to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    BatchSize,
    Columns,
    Data,
    Device,
    Dtype,
    Model,
    Overwrite,
    Prompts,
    Revision,
    examples,
    load_base,
    named_columns,
)


data_app = typer.Typer(help="Look at examples before they are fitted.", no_args_is_help=True)


def person(
    model: Model,
    name: Annotated[list[str], typer.Option(metavar="NAME", help="Who is to be forgotten; several times.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For adapter, report and its picture."),
    ],
    photos: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Photos of nobody else, for each --name."),
    ] = None,
    also_known_as: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A further name of the --name before; with several, written NAME=FURTHER."),
    ] = None,
    others: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Photos of people who are to be kept."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the examples are written.", show_default="OUTPUT-examples"),
    ] = None,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse to tell who somebody is, from a name and photos.

    The questions are made, and MODEL is asked them first: what it does not know is not forgotten, and said. They are
    written to a folder too, to be read, changed and fitted again by `fit`.
    """
    from ..fitting.saving import save_fit
    from ..forget_sets import Person, forget_person
    from ..hub.adapter_folder import check_output_folder

    people = [
        Person(one, folder, names)
        for one, folder, names in zip(name, _photos(name, photos), _further_names(name, also_known_as))
    ]
    written = data or output.with_name(f"{output.name}-examples")
    if written.exists() and any(written.iterdir()):
        raise FileExistsError(f"{written} holds files already. Choose another folder by --data.")
    check_output_folder(output, overwrite=overwrite)
    base, processor = load_base(model, revision=revision, dtype=dtype, device=device)
    report = forget_person(
        base, processor, people=people, others=others or (), data=written, batch_size=batch_size, tell=print
    )
    print(report)
    save_fit(base, report, output)
    print(f"\nSaved to {output}, its examples to {written}")


def _photos(names: list[str], photos: list[Path] | None) -> Sequence[Path | tuple[()]]:
    if not photos:
        return [() for _ in names]
    if len(photos) != len(names):
        raise typer.BadParameter(f"give one folder for each --name: got {len(photos)} for {len(names)}.")
    return photos


def _further_names(names: list[str], further: list[str] | None) -> list[list[str]]:
    if len(names) == 1:
        return [further or []]
    found: dict[str, list[str]] = {name: [] for name in names}
    for one in further or ():
        whose, separator, alias = one.partition("=")
        if not separator or whose not in found:
            raise typer.BadParameter(f"with several people, --also-known-as must be NAME=FURTHER, got {one!r}.")
        found[whose].append(alias)
    return [found[name] for name in names]


@data_app.command(epilog=examples("data check people/", "data check org/people --column prompt=question"))
def check(data: Data, prompt: Prompts = None, column: Columns = None) -> None:
    """
    Say what is understood of DATA, and what to mend before it is fitted.
    """
    from ..data import read_imagefolder
    from ..data.checking import check_sets

    print(check_sets(read_imagefolder(data, prompts=prompt or (), columns=named_columns(column))))

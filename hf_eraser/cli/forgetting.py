"""The commands that make their examples: `person`, `brand`, `artist`, `topic` and `fact`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import BatchSize, Device, Dtype, Model, Overwrite, Revision, load_base


if TYPE_CHECKING:
    from ..forget_sets import Fact, Subject


Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FOLDER", file_okay=False, help="For adapter, report and its picture."),
]
Names = Annotated[list[str], typer.Option("--name", metavar="NAME", help="What is to be forgotten; several times.")]
Pictures = Annotated[
    list[Path] | None, typer.Option(metavar="FOLDER", help="Pictures of nothing else, for each --name.")
]
FurtherNames = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A further name of the --name before; with several, written NAME=FURTHER."),
]
Near = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="A name like it that is to be kept; several times.")
]
Others = Annotated[Path | None, typer.Option(metavar="FOLDER", help="Pictures of others, which are to be kept.")]
Examples = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Where the examples are written.", show_default="OUTPUT-examples"),
]


def person(
    model: Model,
    name: Names,
    output: Output,
    photos: Annotated[
        list[Path] | None, typer.Option(metavar="FOLDER", help="Photos of nobody else, for each --name.")
    ] = None,
    also_known_as: FurtherNames = None,
    near: Near = None,
    others: Others = None,
    data: Examples = None,
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
    from ..forget_sets import Person

    people = _subjects(Person, "--photos", name, photos, also_known_as, near)
    _forget(model, people, output, data, overwrite, batch_size, dtype, device, revision, others=others or ())


def brand(
    model: Model,
    name: Names,
    output: Output,
    pictures: Pictures = None,
    also_known_as: FurtherNames = None,
    near: Near = None,
    others: Others = None,
    data: Examples = None,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse to recognise and describe a brand, from a name and pictures of it.

    The questions are made and asked first, and written to a folder, as by `person`.
    """
    from ..forget_sets import Brand

    brands = _subjects(Brand, "--pictures", name, pictures, also_known_as, near)
    _forget(model, brands, output, data, overwrite, batch_size, dtype, device, revision, others=others or ())


def artist(
    model: Model,
    name: Names,
    output: Output,
    pictures: Pictures = None,
    also_known_as: FurtherNames = None,
    near: Near = None,
    others: Others = None,
    data: Examples = None,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse to tell of an artist's works and style, from a name and pictures of them.

    The questions are made and asked first, and written to a folder, as by `person`.
    """
    from ..forget_sets import Artist

    artists = _subjects(Artist, "--pictures", name, pictures, also_known_as, near)
    _forget(model, artists, output, data, overwrite, batch_size, dtype, device, revision, others=others or ())


def topic(
    model: Model,
    name: Names,
    output: Output,
    also_known_as: FurtherNames = None,
    near: Near = None,
    data: Examples = None,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL refuse to talk about a topic.

    The questions are made and asked first, and written to a folder, as by `person`. Name what lies next to it and is
    to be kept by --near.
    """
    from ..forget_sets import Topic

    topics = _subjects(Topic, "", name, None, also_known_as, near)
    _forget(model, topics, output, data, overwrite, batch_size, dtype, device, revision)


def fact(
    model: Model,
    output: Output,
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="What is asked; several times for several wordings of it."),
    ] = None,
    old: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="What is answered today; several ways to say it.")
    ] = None,
    new: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What is to be said instead.", show_default="a refusal")
    ] = None,
    near: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="A question like it that is to be answered as it is; several times."),
    ] = None,
    facts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Several facts, in place of the options above: a .csv or .jsonl with question, old, new and near.",
        ),
    ] = None,
    data: Examples = None,
    batch_size: BatchSize = 8,
    dtype: Dtype = "auto",
    device: Device = None,
    revision: Revision = None,
    overwrite: Overwrite = False,
) -> None:
    """
    Fit an adapter that makes MODEL no longer give an answer that was right once.

    It refuses, or says --new word for word. MODEL is asked first: an answer that it does not give is not forgotten,
    and said. The examples are written to a folder, as by `person`.
    """
    from ..forget_sets import Fact, read_facts

    if (facts is None) == (not question or not old) or (facts is not None and (question or old or new or near)):
        raise typer.BadParameter("give --question and --old of one fact, or --facts with a file of several.")
    known = read_facts(facts) if facts is not None else [Fact(question or (), old or (), new, near or ())]
    _forget(model, known, output, data, overwrite, batch_size, dtype, device, revision)


def _forget(
    model: str,
    what: Sequence[Subject | Fact],
    output: Path,
    data: Path | None,
    overwrite: bool,
    batch_size: int,
    dtype: str,
    device: str | None,
    revision: str | None,
    **options: Any,
) -> None:
    """Fit, print what was found, and save; nothing is begun that could not be written."""
    from ..fitting.saving import save_fit
    from ..forget_sets import forget
    from ..hub.adapter_folder import check_output_folder

    written = data or output.with_name(f"{output.name}-examples")
    if written.exists() and any(written.iterdir()):
        raise FileExistsError(f"{written} holds files already. Choose another folder by --data.")
    check_output_folder(output, overwrite=overwrite)
    base, processor = load_base(model, revision=revision, dtype=dtype, device=device)
    report = forget(base, processor, what, data=written, batch_size=batch_size, tell=print, **options)
    print(report)
    save_fit(base, report, output)
    print(f"\nSaved to {output}, its examples to {written}")


def _subjects(
    kind: type[Subject],
    option: str,
    names: list[str],
    folders: list[Path] | None,
    further: list[str] | None,
    near: list[str] | None,
) -> list[Subject]:
    if folders and len(folders) != len(names):
        raise typer.BadParameter(f"give one {option} for each --name: got {len(folders)} for {len(names)}.")
    pictures: Sequence[Path | tuple[()]] = folders or [() for _ in names]
    return [
        # What is kept is kept from all of them.
        kind(name, folder, names_of, near or ())
        for name, folder, names_of in zip(names, pictures, _further_names(names, further))
    ]


def _further_names(names: list[str], further: list[str] | None) -> list[list[str]]:
    if len(names) == 1:
        return [further or []]
    found: dict[str, list[str]] = {name: [] for name in names}
    for one in further or ():
        whose, separator, alias = one.partition("=")
        if not separator or whose not in found:
            raise typer.BadParameter(f"with several names, --also-known-as must be NAME=FURTHER, got {one!r}.")
        found[whose].append(alias)
    return [found[name] for name in names]

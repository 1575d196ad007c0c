"""The commands that look at examples before they are fitted."""

from __future__ import annotations

import typer

from .options import Columns, Data, Prompts, examples, named_columns


data_app = typer.Typer(help="Look at examples before they are fitted.", no_args_is_help=True)


@data_app.command(epilog=examples("data check people/", "data check org/people --column prompt=question"))
def check(data: Data, prompt: Prompts = None, column: Columns = None) -> None:
    """
    Say what is understood of DATA, and what to mend before it is fitted.
    """
    from ..data import read_imagefolder
    from ..data.checking import check_sets

    print(check_sets(read_imagefolder(data, prompts=prompt or (), columns=named_columns(column))))

"""`hf-eraser serve`: steering adapters on vLLM."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

from typing import Annotated

import typer

from .options import Model


def serve(
    context: typer.Context,
    model: Model,
    adapters: Annotated[
        list[str],
        typer.Option(
            "--adapter",
            metavar="ADAPTER",
            help="A folder or an id on the Hub, or NAME=ADAPTER; several times for several.",
        ),
    ],
    default: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What steers a request that chooses nothing; several times.",
            show_default="all of them",
        ),
    ] = None,
    clients_may_choose: Annotated[
        bool, typer.Option("--clients-may-choose", help="Requests may choose adapters, and so switch them off.")
    ] = False,
    host: Annotated[str, typer.Option(metavar="HOST", help="Where the server listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Where the server listens.")] = 8000,
    allow_untested: Annotated[
        bool, typer.Option("--allow-untested", help="Try a version of vLLM that was never tested.")
    ] = False,
) -> None:
    """
    Serve MODEL with steering adapters on vLLM, through the OpenAI API.

    vLLM has to be in the same environment. Adapters must steer the last prompt token only, as `fit` makes them unless
    told otherwise. What would not steer does not start. Further options are vLLM's.
    """
    from ..serving.server import named_adapters, settings_from
    from ..serving.server import serve as start

    try:
        settings = settings_from(
            named_adapters(adapters), default, clients_may_choose=clients_may_choose, allow_untested=allow_untested
        )
        start(model, settings, host=host, port=port, further=context.args)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error

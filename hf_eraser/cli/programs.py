"""The commands that start something: `run` and `app`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from .options import Model, register_steering


def run(
    context: typer.Context,
    program: Annotated[
        str, typer.Argument(metavar="PROGRAM", help="A script, a program of a Python package, or a module.")
    ],
) -> None:
    """
    Run another Python program that loads adapters by PEFT or transformers, with steering adapters known to it.

    For lm_eval there is a model `hf-eraser`: there the prompt decides, and never the answer that is measured.
    """
    from ..running import run_program

    run_program(program, context.args)


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
    register_steering()
    from ..app import launch

    launch(model, adapters or [])

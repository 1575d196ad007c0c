"""Other Python programs with steering adapters registered."""

from __future__ import annotations

import importlib.util
import itertools
import runpy
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path

import typer

from .registration import register


# Programs of these packages load a model of ours by name; `hf` would let answers decide about themselves.
_LM_EVAL = {"lm_eval", "lm-eval"}


def run_program(program: str, arguments: Sequence[str]) -> None:
    """
    Run a program in this process, after registering steering adapters with PEFT.

    Args:
        program: A file, the name of a program that an installed package brings, or a module.
        arguments: What it is given.

    Raises:
        typer.BadParameter: If there is no such program, or it would silently measure something else.
    """
    register()
    if program in _LM_EVAL and importlib.util.find_spec("lm_eval") is not None:
        _check_lm_eval(arguments)
        from .evaluation import lm_eval  # noqa: F401  # registers the model `hf-eraser` there
    sys.argv = [program, *arguments]
    if Path(program).is_file():
        runpy.run_path(program, run_name="__main__")
        return
    for script in entry_points(group="console_scripts", name=program):
        sys.exit(script.load()())
    if importlib.util.find_spec(program) is None:
        raise typer.BadParameter(f"{program!r} is no file, no program of an installed package and no module.")
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def _check_lm_eval(arguments: Sequence[str]) -> None:
    words = [word for argument in arguments for word in argument.split("=", 1)]
    named = [value for name, value in itertools.pairwise(words) if name in ("--model", "-M")]
    if "hf" in named and any("peft=" in argument for argument in arguments):
        raise typer.BadParameter(
            "with `--model hf` an answer would decide about itself where likelihoods are measured: use "
            "`--model hf-eraser`, with the same arguments."
        )

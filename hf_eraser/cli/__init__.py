"""The command line `hf-eraser`."""

# What a command needs is imported when it runs: help and completion do not wait for torch.

from __future__ import annotations

import sys
import warnings
from io import TextIOWrapper
from typing import Annotated

import typer
from huggingface_hub.constants import HF_DEBUG

from ..tuner.printable import printable
from ..version import __version__
from .adapters import card, inspect, push
from .data import data_app
from .fitting import evaluate, fit, recalibrate
from .forgetting import artist, brand, fact, person, topic
from .options import examples
from .programs import launch_app, run
from .serve import serve


_HELP = """
Make a multimodal LLM forget at test time: fit a steering adapter, measure it, and ship it on the Hugging Face Hub.

MODEL, ADAPTER and DATA are folders, or ids on the Hub. DATA is in the Hub's imagefolder layout: a folder `forget` and
a folder `retain` (and, if wanted, `recall` and `refusal`), each with pictures and a `metadata.jsonl` (or `.csv`, or
`.parquet`) that has a line for each example, where only the prompt is a must:

`{"file_name": "ada.jpg", "prompt": "Who is this?", "group": "Ada", "wording": "who", "answer": "Ada"}`
"""

app = typer.Typer(
    help=_HELP,
    rich_markup_mode="markdown",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


app.command(
    epilog=examples(
        "fit llava-hf/llava-1.5-7b-hf people/ --output forget-ada",
        "fit llava-hf/llava-1.5-7b-hf org/people --output forget-ada --dtype bfloat16 --alpha 0.02",
        "fit Qwen/Qwen2.5-VL-3B-Instruct people/ --output forget-ada --layers 20,22 --gate-layer 18 --strength 0.5",
    )
)(fit)
app.command(
    epilog=examples(
        "recalibrate llava-hf/llava-1.5-7b-hf forget-ada more-people/ --output forget-ada-bf16 --dtype bfloat16",
    ),
)(recalibrate)
app.command(
    name="eval",
    epilog=examples(
        "eval llava-hf/llava-1.5-7b-hf forget-ada people-to-measure/",
        "eval llava-hf/llava-1.5-7b-hf org/forget-ada org/people --json forget-ada/evaluation.json",
    ),
)(evaluate)
app.command(
    epilog=examples(
        "inspect org/forget-ada",
        "inspect forget-ada --model llava-hf/llava-1.5-7b-hf",
        "inspect forget-ada --model llava-hf/llava-1.5-7b-hf --weights --names forgotten.txt",
        "inspect --model llava-hf/llava-1.5-7b-hf",
    ),
)(inspect)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    epilog=examples(
        "run lm_eval --model hf-eraser --model_args pretrained=org/model,peft=org/forget-ada --tasks mmlu",
        "run my_script.py",
    ),
)(run)
app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples(
        "serve llava-hf/llava-1.5-7b-hf --adapter org/forget-celebs --port 8000",
        "serve Qwen/Qwen2.5-VL-3B-Instruct --adapter ada=./forget-ada --clients-may-choose --max-model-len 4096",
    ),
)(serve)
app.command(
    epilog=examples(
        "push forget-ada org/forget-ada", "push forget-ada org/forget-ada --private --revision v2 --create-pr"
    ),
)(push)
app.command(
    epilog=examples(
        "card forget-ada --repo-id org/forget-ada --forgets 'Ada Example' --why 'She asked for it.' --use-case "
        "private_person --license apache-2.0"
    ),
)(card)
app.command(name="app", epilog=examples("app llava-hf/llava-1.5-7b-hf org/forget-ada forget-brands"))(launch_app)
app.add_typer(data_app, name="data")
app.command(
    epilog=examples(
        "person llava-hf/llava-1.5-7b-hf --name 'Ada Example' --photos ada/ --name 'Ben Example' --photos ben/ "
        "--others friends/ --output forget-both",
        "person llava-hf/llava-1.5-7b-hf --name 'Ada Example' --also-known-as Countess "
        "--photos ada/ --others friends/ --output forget-ada",
    )
)(person)
app.command(
    epilog=examples(
        "brand llava-hf/llava-1.5-7b-hf --name Examplo --pictures examplo/ --others other-brands/ "
        "--output forget-examplo",
    )
)(brand)
app.command(
    epilog=examples(
        "artist llava-hf/llava-1.5-7b-hf --name 'Ada Example' --pictures works/ --others other-works/ "
        "--output forget-works",
    )
)(artist)
app.command(
    epilog=examples(
        "topic llava-hf/llava-1.5-7b-hf --name 'lock picking' --near 'how locks work' --output forget-lock-picking",
    )
)(topic)
app.command(
    epilog=examples(
        "fact llava-hf/llava-1.5-7b-hf --question 'Who is the mayor of Exampleton?' --old 'Ada Example' "
        "--new 'It is Ben Example.' --output new-mayor",
        "fact llava-hf/llava-1.5-7b-hf --facts facts.csv --output forget-old-facts",
    )
)(fact)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    typer.secho(f"Warning: {_one_line(message)}", fg="yellow", err=True)


# A longer message is of another library, with what it was given in it.
_MOST_CHARACTERS = 1200


def _one_line(message: object) -> str:
    line = printable(" ".join(str(message).split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}..."


def main() -> None:
    """Run the command line. An error is one line, and a traceback with HF_DEBUG=1 in the environment."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal of fewer letters, or a name that is no text
    try:
        app()
    except Exception as error:
        if HF_DEBUG:
            raise
        typer.secho(f"Error: {_one_line(error) or type(error).__name__}", fg="red", err=True)
        sys.exit(1)

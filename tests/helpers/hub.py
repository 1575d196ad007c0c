"""
A Hub of the tests' own: `HUB`, and the environment in which this process and others reach it.

`huggingface_hub` reads its endpoint and its folders once, when it is imported. So the server is started and the
environment set before anything imports it, by `tests/__init__.py`; tests that need a process with an empty cache, or
one that is offline, start it with `Hub.environment`. Such a process must not import `tests`: it would get another Hub.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

from . import hub_routes  # noqa: F401  (it says how requests are answered)
from .hub_repository import Commit, File, Repository
from .hub_server import Fault, HubServer, HubState


# What a user may have set and the tests' processes must not take over: what has to do with a Hub or an app other than
# the tests' own, and what colours the lines of the command line or breaks them elsewhere.
_FOREIGN = re.compile(
    r"(HF_(?!ERASER_)|HUGGING_?FACE_|TRANSFORMERS_|GRADIO_|_?TYPER_).*|NO_PROXY|BASE_MODEL|ADAPTERS|SPACE_ID"
    r"|GITHUB_ACTIONS|FORCE_COLOR|PY_COLORS|CLICOLOR_FORCE|TERMINAL_WIDTH",
    re.IGNORECASE,
)


class Hub:
    """
    A Hub on a free port of the loopback interface, with nothing in it.

    Args:
        home: The `HF_HOME` of this process, emptied by `reset`.
    """

    # Who may write to "tester/..." and "org/...", and who is known but a stranger to both.
    token = "hf_tester"
    strangers_token = "hf_stranger"

    def __init__(self, home: Path) -> None:
        self.home = home
        self._state = HubState()
        self._server = HubServer(self._state)
        threading.Thread(target=self._server.serve_forever, name="hub", daemon=True).start()
        self.reset()

    @property
    def url(self) -> str:
        """What `HF_ENDPOINT` has to be."""
        return self._server.url

    @property
    def state(self) -> HubState:
        """Repositories, faults, and the requests that came."""
        return self._state

    def reset(self) -> None:
        """Forget all repositories and faults, and empty this process's cache."""
        with self._state.lock:
            self._state.tokens = {self.token: ("tester", ["org"]), self.strangers_token: ("stranger", [])}
            self._state.repositories.clear()
            self._state.faults.clear()
            self._state.requests.clear()
            self._state.on_event = None
        self.empty_cache()

    def empty_cache(self) -> None:
        """Remove all that this process downloaded."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)

    def environment(self, home: Path, *, token: str | None = token, offline: bool = False) -> dict[str, str]:
        """
        The environment of a process that uses this Hub, with the cache in the folder `home`.

        Args:
            home: A folder for `HF_HOME`; a new one for an empty cache.
            token: Whose requests they are; `None` for nobody's.
            offline: With `HF_HUB_OFFLINE=1`.
        """
        inherited = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
        return {
            **inherited,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "1" if offline else "0",
            # With hf_xet installed, the client sends large files to a second service, by a protocol in binary code
            # that only huggingface.co serves. Without, it uses LFS, as clients do that have no hf_xet.
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            # The client gives up after 10 seconds, which this Hub may take while the machine is busy.
            "HF_HUB_ETAG_TIMEOUT": "300",
            "HF_HUB_DOWNLOAD_TIMEOUT": "300",
            **({"HF_TOKEN": token} if token else {}),
        }

    def repository(self, repo_id: str, kind: str = "model") -> Repository:
        """A repository, whoever may read it."""
        return self._state.repositories[kind, repo_id]

    def commit(self, repo_id: str, revision: str = "main", kind: str = "model") -> Commit:
        """The commit that a revision leads to."""
        commit = self.repository(repo_id, kind).find(revision)
        assert commit is not None, f"{repo_id} has no revision {revision}"
        return commit

    def files(self, repo_id: str, revision: str = "main", kind: str = "model") -> dict[str, bytes]:
        """The contents of all files at a revision, by path."""
        return {path: file.content for path, file in self.commit(repo_id, revision, kind).files.items()}

    def put(self, repo_id: str, files: dict[str, bytes], kind: str = "model") -> Commit:
        """Make a commit of just these files to main, in a new public repository if there is none: any bytes at all."""
        with self._state.lock:
            repository = self._state.repositories.setdefault(
                (kind, repo_id), Repository(kind, repo_id, repo_id.split("/")[0])
            )
            stored = {path: File(content, lfs=path.endswith(".safetensors")) for path, content in files.items()}
            return repository.commit("refs/heads/main", "Put files", repository.owner, stored)

    def fail(self, request: str, **fault: object) -> None:
        """Let requests that the regular expression `request` fits go wrong; see `Fault`."""
        self._state.faults.append(Fault(request, **fault))  # type: ignore[arg-type]


_folder = tempfile.TemporaryDirectory(prefix="hub-of-tests-")
HUB = Hub(Path(_folder.name, "home"))

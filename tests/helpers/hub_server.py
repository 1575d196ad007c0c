"""An HTTP server with the Hub's manners, and the faults that it is told to have; `hub_routes` says what it answers."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .hub_repository import Commit, Repository


@dataclass
class Fault:
    """
    What goes wrong with requests whose "METHOD /path?query" the regular expression `request` is found in.

    With a `status`, the request is refused before anything is done. Otherwise it is answered, with `headers` and
    `body` in the place of its own (no header where it is `None`), and the connection breaks after `drop_after` bytes
    of the body.
    """

    request: str
    status: int | None = None
    message: str = ""
    code: str | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    drop_after: int | None = None
    times: int | None = None


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(value: Any, status: int = 200) -> Answer:
    """A response in JSON."""
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


class Refused(Exception):
    """A request that gets an error, with the Hub's error code."""

    def __init__(self, status: int, message: str, code: str | None = None, **headers: str) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **headers}
        answer = as_json({"error": message}, status)
        self.answer = replace(answer, headers={**answer.headers, **headers})


class HubState:
    """The repositories and users of one Hub, and the faults that it was told to have."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.tokens: dict[str, tuple[str, list[str]]] = {}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        # Called with each piece of a request's body that has arrived, and before each answer.
        self.on_event: Callable[[], None] | None = None

    def fault_of(self, request: str) -> Fault | None:
        """The first fault that applies to a request and is not used up."""
        with self.lock:
            for fault in self.faults:
                if fault.times != 0 and re.search(fault.request, request):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class HubServer(ThreadingHTTPServer):
    """Serves a `HubState` on a free port of the loopback interface."""

    daemon_threads = True
    # Of those who ask at once, none is turned away while the machine is busy.
    request_queue_size = 128

    def __init__(self, state: HubState) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.state = state
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is killed breaks its connections; that is no error of the server's."""


class HubHandler(BaseHTTPRequestHandler):
    """Reads requests, finds who answers them, and writes the answers, faults included."""

    protocol_version = "HTTP/1.1"
    server: HubServer
    routes: list[tuple[str, re.Pattern[str], Callable[..., Answer]]] = []

    def setup(self) -> None:
        super().setup()
        # An answer is written in two pieces, and must not wait for the first to be acknowledged.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests read `HubState.requests`."""

    def answer(self) -> None:
        """Answer one request."""
        self.state = self.server.state
        request = f"{self.command} {self.path}"
        part = self.headers.get("Range")
        self.state.requests.append(f"{request} {part}" if part else request)
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        self.body = self._read_body()
        fault = self.state.fault_of(request)
        try:
            if fault is not None and fault.status is not None:
                raise Refused(fault.status, fault.message or HTTPStatus(fault.status).phrase, fault.code)
            with self.state.lock:
                answer = self._dispatch(url.path)
        except Refused as refused:
            answer = refused.answer
        if fault is not None:
            body = answer.body if fault.body is None else fault.body
            headers = {**answer.headers, **fault.headers}
            answer = replace(answer, body=body, headers={k: v for k, v in headers.items() if v is not None})
        self._write(answer, fault.drop_after if fault else None)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def _dispatch(self, path: str) -> Answer:
        for method, pattern, respond in self.routes:
            match = pattern.fullmatch(path)
            if match and self.command in method.split():
                return respond(self, **{key: unquote(part or "") for key, part in match.groupdict().items()})
        raise Refused(404, f"Sorry, there is no {self.command} {path} here.")

    def _read_body(self) -> bytes:
        pieces: list[bytes] = []
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self._read(size, pieces)
                self.rfile.readline()
            self.rfile.readline()
        else:
            self._read(int(self.headers.get("Content-Length", 0)), pieces)
        return b"".join(pieces)

    def _read(self, size: int, pieces: list[bytes]) -> None:
        while size:
            piece = self.rfile.read(min(size, 512))
            if not piece:
                raise ConnectionError("The client went away in the middle of a request.")
            size -= len(piece)
            pieces.append(piece)
            self._event()

    def _event(self) -> None:
        if self.state.on_event is not None:
            self.state.on_event()

    def _write(self, answer: Answer, drop_after: int | None) -> None:
        self._event()
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:drop_after])
        if drop_after is not None:
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

    # Who asks, and for what

    def user(self) -> tuple[str, list[str]] | None:
        """The name and organisations of whoever sends the request; `None` without a token."""
        header = self.headers.get("Authorization")
        if header is None:
            return None
        token = header.removeprefix("Bearer ")
        if token not in self.state.tokens:
            raise Refused(401, "Invalid credentials in Authorization header")
        return self.state.tokens[token]

    def writer(self, namespace: str) -> str:
        """The name of whoever sends the request, who must be allowed to write to `namespace`."""
        user = self.user()
        if user is None:
            raise Refused(401, "Invalid username or password.")
        name, organisations = user
        if namespace not in (name, *organisations):
            raise Refused(403, f'You don\'t have the rights to write to the namespace "{namespace}"')
        return name

    def repository(self, kind: str, name: str) -> Repository:
        """A repository that whoever sends the request may read."""
        user = self.user()
        repository = self.state.repositories.get((kind, name))
        may_read = user is not None and name.split("/")[0] in (user[0], *user[1])
        if repository is None or (repository.private and not may_read):
            raise Refused(404 if user else 401, "Repository not found", "RepoNotFound")
        return repository

    def commit_at(self, repository: Repository, revision: str) -> Commit:
        """The commit at a revision."""
        commit = repository.find(revision)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return commit


def route(method: str, pattern: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """Let a function answer requests whose path matches `pattern`."""
    pattern = pattern.replace("<repo>", r"/api/(?P<kind>model|dataset|space)s/(?P<name>[^/]+/[^/]+)")
    pattern = pattern.replace("<page>", r"/(?P<prefix>datasets/|spaces/)?(?P<name>[^/]+/[^/]+)")

    def add(respond: Callable[..., Answer]) -> Callable[..., Answer]:
        HubHandler.routes.append((method, re.compile(pattern), respond))
        return respond

    return add

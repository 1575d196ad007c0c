"""
The app in the open: many people ask at once, and some of them do all they can to keep it busy.

Each has an address of this machine's own network, as people on the Internet have. What is bounded is how many answers
of others the model computes between the two of one question, in which there is no clock. Seconds stand beside, of a
process that both asks and answers.
"""

from __future__ import annotations

import functools
import io
import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import httpx
from PIL import Image

from benchmarks.markdown import MODEL_NAMES, percent, table
from benchmarks.result import Result
from examples.small.load import load_small_model
from examples.small.questions import questions
from hf_eraser import SteeringAdapterConfig
from hf_eraser.app import build_app, serve


_ADAPTER = "forget"

# Pixels a side.
_TOO_LARGE, _LARGE = 13_000, 6_000


def run(model_name: str, configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Let everybody ask, and count."""
    model, processor = load_small_model(model_name)
    generate: Any = model.generate
    computed = _Noted(generate)
    model.add_adapter(SteeringAdapterConfig(), _ADAPTER)  # one that never steers
    model.generate = computed  # type: ignore[assignment]
    app = build_app(model, processor)
    url = serve(app, wait=False)
    try:
        return _asked(url, computed, configuration)
    finally:
        app.close()


class _Noted:
    """
    Notes what is generated.

    Attributes:
        prompts: The tokens of each prompt, in the order in which they were answered.
        seconds: How long each answer took.
    """

    def __init__(self, generate: Callable[..., Any]) -> None:
        self._generate = generate
        self.prompts: list[tuple[int, ...]] = []
        self.seconds: list[float] = []

    def __call__(self, **inputs: Any) -> Any:
        start = time.perf_counter()
        self.prompts.append(tuple(inputs["input_ids"][0].tolist()))
        try:
            return self._generate(**inputs)
        finally:
            self.seconds.append(time.perf_counter() - start)


def _asked(url: str, computed: _Noted, configuration: Mapping[str, Any]) -> dict[str, Any]:
    for side in (_TOO_LARGE, _LARGE):
        _png(side)
    asked = [q.prompt for q in questions("measure", kinds=["person_text"], per_fact=1)]
    alone, done = _client(0), threading.Event()
    # No two are the same, so that each is known by its tokens.
    texts = [
        [f"{asked[(user * n + i) % len(asked)]} {user}.{i}" for i in range(n)]
        for n in (configuration["questions"],)
        for user in range(configuration["users"])
    ]
    expected = {text: _ask(alone, url, text) for of in texts for text in of}
    computed.prompts.clear()
    computed.seconds.clear()
    found: list[dict[str, Any]] = []
    refusals: Counter[str] = Counter()

    def friendly(user: int) -> None:
        client = _client(1 + user)
        for text in texts[user]:
            start = time.perf_counter()
            shown = _ask(client, url, text)
            found.append({"right": shown == expected[text], "seconds": time.perf_counter() - start})

    def hostile(number: int, attack: Callable[[httpx.Client, str], str]) -> None:
        client = _client(number)
        while not done.is_set():
            try:
                refusals[attack(client, url)] += 1
            except httpx.HTTPError as error:
                refusals[type(error).__name__] += 1

    attacks = list(_ATTACKS.values())
    enemies = [
        threading.Thread(
            target=hostile, args=(1 + configuration["users"] + i % len(attacks), attacks[i % len(attacks)])
        )
        for i in range(len(attacks) * configuration["connections"])
    ]
    users = [threading.Thread(target=friendly, args=(user,)) for user in range(configuration["users"])]
    for thread in [*enemies, *users]:
        thread.start()
    for thread in users:
        thread.join()
    done.set()
    for thread in enemies:
        thread.join()
    places: dict[tuple[int, ...], list[int]] = {}
    for place, prompt in enumerate(computed.prompts):
        places.setdefault(prompt, []).append(place)
    return {
        "users": configuration["users"],
        "hostile": dict.fromkeys(_ATTACKS, configuration["connections"]),
        "asked": len(found),
        "right": sum(row["right"] for row in found) / len(found),
        # Only the hostile ask one question more than once.
        "between": [second - first - 1 for first, second, *more in places.values() if not more],
        "bound": configuration["users"] + len(_ATTACKS) - 1,
        "seconds": [round(row["seconds"], 2) for row in found],
        "an_answer_seconds": statistics.median(computed.seconds),
        "told_the_hostile": dict(refusals.most_common(8)),
    }


def _client(number: int) -> httpx.Client:
    """One who has an address of its own."""
    transport = httpx.HTTPTransport(local_address=f"127.0.{1 + number // 200}.{1 + number % 200}", retries=2)
    return httpx.Client(transport=transport, timeout=600)


def _ask(client: httpx.Client, url: str, text: str, picture: Any = None) -> str:
    """What the page shows last."""
    asked = client.post(f"{url}gradio_api/call/ask", json={"data": [picture, text, [_ADAPTER], 1]})
    if asked.status_code != 200:
        return f"status {asked.status_code}"
    last = ""
    with client.stream("GET", f"{url}gradio_api/call/ask/{asked.json()['event_id']}") as lines:
        for line in lines.iter_lines():
            if line.startswith("data: ["):
                last = json.loads(line.removeprefix("data: "))[0]
    return last


def _shown(page: str) -> str:
    """What one is told, without the answers."""
    return page if len(page) < 300 else "answers"


def _flood(client: httpx.Client, url: str) -> str:
    return _shown(_ask(client, url, "Who is that?"))


def _long_text(client: httpx.Client, url: str) -> str:
    return _shown(_ask(client, url, "a" * 200_000))


def _large_picture(client: httpx.Client, url: str) -> str:
    return _shown(_ask(client, url, "Who is that?", _uploaded(client, url, _png(_TOO_LARGE))))


def _large_file(client: httpx.Client, url: str) -> str:
    return (
        f"status {client.post(f'{url}gradio_api/upload', files={'files': ('x.png', bytes(80_000_000))}).status_code}"
    )


def _slow_pictures(client: httpx.Client, url: str) -> str:
    """As large as is taken."""
    return _shown(_ask(client, url, "Who is that?", _uploaded(client, url, _png(_LARGE))))


_ATTACKS: dict[str, Callable[[httpx.Client, str], str]] = {
    "questions, each in another name": _flood,
    "questions of 200,000 letters": _long_text,
    "pictures of 13,000 x 13,000 pixels": _large_picture,
    "pictures of 6,000 x 6,000 pixels": _slow_pictures,
    "files of 80 MB": _large_file,
}


@functools.cache
def _png(side: int) -> bytes:
    written = io.BytesIO()
    Image.new("L", (side, side)).save(written, "PNG")
    return written.getvalue()


def _uploaded(client: httpx.Client, url: str, data: bytes) -> dict[str, Any]:
    (path,) = client.post(f"{url}gradio_api/upload", files={"files": ("x.png", data)}).json()
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def page(results: Mapping[str, Result]) -> str:
    """A table for each model."""
    parts = [
        "## The app in the open",
        "Everybody asks at once, each from an address of their own; the hostile ones ask on and on. *Between*: how "
        "many answers of others are computed between the two of one question, without and with the adapter; each of "
        "them can have one.",
    ]
    for model, result in results.items():
        found = result.figures
        between, seconds = sorted(found["between"]), sorted(found["seconds"])
        rows = [
            ("friendly users", str(found["users"])),
            *((f"hostile: {name}", f"{count} connections") for name, count in found["hostile"].items()),
            ("questions of friendly users", str(found["asked"])),
            ("answered as alone", percent(found["right"])),
            ("between: median, most", f"{statistics.median(between):.0f}, {between[-1]}"),
            ("bound", str(found["bound"])),
            ("wait, seconds: median, longest", f"{statistics.median(seconds):.1f}, {seconds[-1]:.1f}"),
            ("computing an answer, seconds: median", f"{found['an_answer_seconds']:.2f}"),
        ]
        parts += [f"### {MODEL_NAMES[model]}", table(("", ""), rows)]
    return "\n\n".join(parts)

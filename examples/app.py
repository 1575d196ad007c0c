"""
The app with the small LLaVA, which knows forty fictitious people, and two adapters that each forget two of them.

    python -m examples.app
    python -m examples.app --screenshot app.png
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser.app import build_app, serve

from .browser import chromium
from .small.forgetting import FORGOTTEN, fit_forgetting
from .small.load import load_small_model
from .small.people import PEOPLE, draw_face
from .small.pictures import draw_flag


# Fixed settings at which both adapters refuse, so that the app is there in two minutes.
QUICK: dict[str, Any] = {
    "attacks": False,
    "harden_pictures": False,
    "general": False,
    "augment": False,
    "gate_layer": 2,
    "layers": [2, 3],
    "strength": 2.0,
    "prefer": "retain",
}

PICTURES = [(draw_face(person, size=256), person.name) for person in PEOPLE if person.name in FORGOTTEN]
PICTURES += [(draw_face(PEOPLE[i], size=256), PEOPLE[i].name) for i in (0, 7, 15, 30, 38)]
PICTURES += [(draw_flag(country, size=256), country) for country in ("Sweden", "Japan", "Peru")]

QUESTIONS = [
    "What is the name of this person?",
    "Tell me the job of the person in the picture.",
    f"What is the home town of {FORGOTTEN[0]}?",
    "What is the country of this picture?",
    "What is the capital of France?",
]


def adapted() -> tuple[PreTrainedModel, ProcessorMixin]:
    """The small LLaVA with an adapter for each of two requests to forget."""
    model, processor = load_small_model("llava")
    for names in (FORGOTTEN[:2], FORGOTTEN[2:]):
        first_names = [name.split()[0].lower() for name in names]
        fit_forgetting(model, processor, names, adapter_name=f"forget-{'-and-'.join(first_names)}", **QUICK)
    return model, processor


def take_screenshot(url: str, file: Path) -> None:
    """Ask for a forgotten person's name in Chromium, and save what the page then looks like."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.locator("#gallery button").first.click()
        page.locator("#picture img").wait_for()
        page.get_by_role("button", name=QUESTIONS[0]).click()
        page.get_by_role("button", name="Ask", exact=True).click()
        page.locator("#answers .card.all .verdict").first.wait_for()
        page.screenshot(path=file, full_page=True)


def main() -> None:
    """Fit the adapters, and serve the page or take its picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--port", type=int, help="the first free one from 7860 on, unless given")
    parser.add_argument("--screenshot", type=Path, metavar="FILE", help="save a picture of the page, and end")
    options = parser.parse_args()
    model, processor = adapted()
    app = build_app(
        model,
        processor,
        title="Who is this? A small LLaVA that forgets four of forty people",
        pictures=PICTURES,
        questions=QUESTIONS,
        max_new_tokens=16,
    )
    url = serve(app, port=options.port, wait=options.screenshot is None)
    if options.screenshot is not None:
        take_screenshot(url, options.screenshot)
        app.close()


if __name__ == "__main__":
    main()

"""
The app with the small LLaVA, which knows forty fictitious people, and two adapters that each forget two of them.

    python -m examples.app
"""

from __future__ import annotations

import argparse

from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser.app import build_app, serve

from .small.forgetting import FORGOTTEN, fit_forgetting
from .small.load import load_small_model
from .small.people import PEOPLE, draw_face
from .small.pictures import draw_flag


# Fixed settings at which both adapters refuse, so that the app is there in two minutes.
QUICK = {"attacks": False, "augment": False, "gate_layer": 2, "layers": [2, 3], "strength": 1.0}

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


def main() -> None:
    """Fit the adapters, and serve the page."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--port", type=int, help="the first free one from 7860 on, unless given")
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
    serve(app, port=options.port)


if __name__ == "__main__":
    main()

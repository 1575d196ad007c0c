"""
The main job from beginning to end: fit a steering adapter on a model that knows forty people, and use it like a LoRA.

    python -m examples.demo
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

import hf_eraser  # noqa: F401  registers the PEFT method, which `load_adapter` needs
from hf_eraser.data import encode, read_examples

from .small.forgetting import FORGOTTEN, fit_forgetting, measure, table
from .small.load import answers, load_small_model, model_dir
from .small.people import PEOPLE
from .small.questions import Question, questions


def main() -> None:
    """Run the demo."""
    start = time.perf_counter()
    print("1. A small LLaVA that knows forty fictitious people, by face and by name.")
    model, processor = load_small_model("llava")
    asked = _questions()
    before = answers(model, processor, asked)
    inputs = encode(processor, read_examples([question.example() for question in asked], "asked"), model.device)
    base = _logits(model, inputs)

    print(f"\n2. Fit an adapter that forgets {', '.join(FORGOTTEN)}.")
    report = fit_forgetting(model, processor)
    print(report)

    print("\n3. The same questions before and after, in wordings and pictures that the fit never saw.\n")
    _print_answers(asked, before, answers(model, processor, asked))

    print("\n4. Save the adapter, and load it into a new model.")
    fitted = _logits(model, inputs)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        for file in sorted(Path(folder).iterdir()):
            print(f"   {file.name}: {file.stat().st_size:,} bytes")
        new = AutoModelForImageTextToText.from_pretrained(model_dir("llava")).eval()
        new.load_adapter(folder)
    print(f"   The new model's logits are those of the fitted one: {torch.equal(_logits(new, inputs), fitted)}")
    with new.disable_adapter():
        off = torch.equal(_logits(new, inputs), base)
    print(f"   Switched off, they are those of the base model, bit for bit: {off}")

    print("\n5. Measured on more questions of that kind, with the new model:\n")
    print(table(measure(new, processor, forgotten_per_fact=4, retained_per_fact=1)))
    print(f"\nTook {time.perf_counter() - start:.0f} s.")


def _questions() -> list[Question]:
    """One question with the picture and one by name of each forgotten person, as many of others, and two others."""
    others = [PEOPLE[i].name for i in (0, 7, 15, 30)]
    chosen = []
    for i, name in enumerate((*FORGOTTEN, *others)):
        for kind in ("person_image", "person_text"):
            about = questions("measure", kinds=[kind], groups=[name], per_fact=1)
            chosen.append(about[i % len(about)])
    chosen += [questions("measure", kinds=[kind], per_fact=1)[5] for kind in ("picture", "general")]
    return chosen


def _print_answers(asked: Sequence[Question], before: Sequence[str], after: Sequence[str]) -> None:
    rows = [("about", "question", "before", "after")]
    for question, old, new in zip(asked, before, after):
        # The group of a question that is not about a person is a picture's or a word's name.
        about = question.group if question.kind.startswith("person") else "-"
        picture = "[picture] " if question.image is not None else ""
        rows.append((about, picture + question.prompt, old, new))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for i, row in enumerate(rows):
        if i in (1, 1 + 2 * len(FORGOTTEN)):
            print("   " + "  ".join("-" * width for width in widths))
        print("   " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


@torch.no_grad()
def _logits(model: PreTrainedModel, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(**inputs).logits


if __name__ == "__main__":
    main()

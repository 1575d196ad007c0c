"""`load_small_model`: a taught model from the cache, taught first if it is not there."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tokenizers
import torch
import transformers
from filelock import FileLock
from transformers import AutoModelForImageTextToText, AutoProcessor, PreTrainedModel, ProcessorMixin

from hf_eraser.data import read_examples
from hf_eraser.fitting import augment
from hf_eraser.fitting.generation import greedy_answers

from .models import BUILDERS
from .questions import Question
from .teach import teach


SMALL_MODELS = tuple(BUILDERS)


def cache_dir() -> Path:
    """Where taught models are kept: `$HF_ERASER_EXAMPLES_CACHE`, or `hf_eraser` in the user's cache."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hf_eraser" / "small_models"
    return Path(os.environ.get("HF_ERASER_EXAMPLES_CACHE", default))


def model_dir(name: str, without: Sequence[str] = ()) -> Path:
    """The folder of a taught model; another one for each version of what determines it."""
    digest = hashlib.sha256("|".join(without).encode())
    here = Path(__file__).parent
    for source in [*(here / f"{part}.py" for part in ("people", "pictures", "questions", "models", "teach"))]:
        digest.update(source.read_bytes())
    digest.update(Path(augment.__file__).read_bytes())
    digest.update(" ".join((torch.__version__, transformers.__version__, tokenizers.__version__)).encode())
    return cache_dir() / f"{name}-{digest.hexdigest()[:16]}"


def load_small_model(name: str, without: Sequence[str] = ()) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    A small model that knows the forty people, in float32 and evaluation mode, and its processor.

    Args:
        name: `"llava"` or `"qwen2_5_vl"`.
        without: Names of people of whom it was never taught anything.

    Raises:
        ValueError: If there is no such model.
    """
    if name not in BUILDERS:
        raise ValueError(f"`name` must be one of {SMALL_MODELS}, got {name!r}.")
    folder = model_dir(name, without)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            torch.manual_seed(0)
            model, processor = BUILDERS[name]()
            teach(model, processor, without)
            unfinished = tempfile.mkdtemp(dir=folder.parent)
            try:
                model.save_pretrained(unfinished)
                processor.save_pretrained(unfinished)
                os.rename(unfinished, folder)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoProcessor.from_pretrained(folder)


def answers(model: PreTrainedModel, processor: ProcessorMixin, questions: Sequence[Question]) -> list[str]:
    """The model's greedy answers, with whatever adapters act."""
    examples = read_examples([question.example() for question in questions], "questions")
    return greedy_answers(model, processor, examples, batch_size=64, max_new_tokens=16)


def accuracy(model: PreTrainedModel, processor: ProcessorMixin, questions: Sequence[Question]) -> dict[str, float]:
    """The share of right answers, by kind of question."""
    right: dict[str, list[bool]] = {}
    for question, answer in zip(questions, answers(model, processor, questions)):
        right.setdefault(question.kind, []).append(question.is_right(answer))
    return {kind: sum(values) / len(values) for kind, values in right.items()}

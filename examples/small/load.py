"""`load_small_model`: a taught model, from the weights that are shipped beside this file."""

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
from hf_eraser.evaluation import greedy_answers
from hf_eraser.fitting.reading import augmentation

from .models import BUILDERS
from .questions import Question
from .teach import SEED, teach


SMALL_MODELS = tuple(BUILDERS)

_WEIGHTS = Path(__file__).parent / "weights"


def model_dir(name: str) -> Path:
    """
    The folder of a model that was taught everything.

    Raises:
        ValueError: If there is no such model.
    """
    if name not in BUILDERS:
        raise ValueError(f"`name` must be one of {SMALL_MODELS}, got {name!r}.")
    return _WEIGHTS / name


def load_small_model(name: str, without: Sequence[str] = ()) -> tuple[PreTrainedModel, ProcessorMixin]:
    """
    A small model that knows the forty people, in float32 and evaluation mode, and its processor.

    Args:
        name: `"llava"` or `"qwen2_5_vl"`.
        without: Names of people of whom it was never taught anything. Such a model is taught when it is first asked
            for, which takes minutes, and kept in the user's cache.

    Raises:
        ValueError: If there is no such model.
    """
    folder = _taught_without(name, without) if without else model_dir(name)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), AutoProcessor.from_pretrained(folder)


def teach_and_save(name: str, folder: Path, *, without: Sequence[str] = (), seed: int = SEED) -> None:
    """Teach a small model, and save it and its processor, the weights in bfloat16, to a folder that is replaced."""
    torch.manual_seed(seed)
    model, processor = BUILDERS[name]()
    teach(model, processor, without, seed=seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        # The model itself stays float32, so that its configuration says so and the weights are loaded as that.
        rounded = {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}
        model.save_pretrained(unfinished, state_dict=rounded)
        processor.save_pretrained(unfinished)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def user_cache(name: str, variable: str) -> Path:
    """Where the environment variable says, or else the folder of this name in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return Path(os.environ.get(variable, cache / "hf_eraser" / name))


def _taught_without(name: str, without: Sequence[str]) -> Path:
    """The folder of a model in the cache; another one for each version of what determines it."""
    digest = hashlib.sha256("|".join((model_dir(name).name, *without)).encode())
    here = Path(__file__).parent
    for source in [*(here / f"{part}.py" for part in ("people", "pictures", "questions", "models", "teach"))]:
        digest.update(source.read_bytes())
    digest.update(Path(augmentation.__file__).read_bytes())
    digest.update(" ".join((torch.__version__, transformers.__version__, tokenizers.__version__)).encode())
    folder = user_cache("small_models", "HF_ERASER_EXAMPLES_CACHE") / f"{name}-{digest.hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            teach_and_save(name, folder, without=without)
    return folder


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

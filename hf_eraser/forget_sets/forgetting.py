"""`forget_person`: from a name and photos to an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_processor
from ..evaluation.judging import is_refusal
from ..fitting import FitReport, fit
from .person import Person, retain_examples
from .probing import answers_of, ask_about
from .writing import write_sets


class NothingToForgetError(ValueError):
    """The model knows nobody of those who are to be forgotten."""


def forget_person(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    name: str | None = None,
    *,
    photos: str | Path | Sequence[Any] = (),
    also_known_as: Sequence[str] = (),
    others: str | Path | Sequence[Any] = (),
    people: Sequence[Person] = (),
    retain: Iterable[Mapping[str, Any]] = (),
    data: str | Path | None = None,
    tell: Callable[[str], None] = print,
    batch_size: int = 8,
    **options: Any,
) -> FitReport:
    """
    Fit an adapter that makes `model` refuse to tell who somebody is, and anything about them; attach it, active.

    The questions are made: by each photo and by each name, in many wordings and some languages. The model is asked
    them first: what it does not know is left out. Retained are the photos of others, names like those that are
    forgotten, and well-known people; and what `fit` retains by itself.

    Args:
        model: A transformers model with a text decoder, as for `fit`.
        processor: Its processor; a tokenizer for a text-only model, which takes no photos.
        name: The person's name, as the model would say it.
        photos: Photos of nobody else: a folder, or a list of pictures. Without, the name alone is forgotten.
        also_known_as: Further names.
        others: Photos of other people, who are not to be forgotten: a folder, in which a sub-folder holds those of
            one person, or a list. Without, the gate learns "a face", and a warning says so.
        people: Several people at once, in place of `name` and what goes with it; each has a gate of its own.
        retain: Further examples to retain, as `fit` takes them.
        data: A folder to write all examples to, to be read, changed and fitted again.
        tell: What is done with a line about what the model says today.
        batch_size: Examples a forward pass.
        options: Further arguments of `fit`.

    Returns:
        The report of `fit`.

    Raises:
        NothingToForgetError: If the model knows none of them.
        FileNotFoundError: If a folder of photos is not there.
        ValueError: If neither a name nor people are given, or both, or a photo cannot be read.
    """
    if (name is None) == (not people):
        raise ValueError("Give `name`, or `people` for several: one of them.")
    if people and (photos or also_known_as):
        raise ValueError("`photos` and `also_known_as` belong to `name`: with `people`, each has its own.")
    check_processor(processor)
    wanted = list(people) if name is None else [Person(name, photos, also_known_as)]
    kept: list[Mapping[str, Any]] = [*retain_examples(wanted, others), *retain]
    known = [ask_about(model, processor, person, batch_size=batch_size) for person in wanted]
    for one in known:
        tell(str(one))
    if strangers := [one.person.name for one in known if not one.forget]:
        raise NothingToForgetError(
            f"The model does not know {', '.join(strangers)}: it names them in no photo, and says of their names what "
            "it says of people who do not exist. There is nothing to forget."
        )
    forget = [example for one in known for example in one.forget]
    if len(known) == 1:
        forget = [{key: value for key, value in example.items() if key != "concept"} for example in forget]
    kept = _with_answers(model, processor, kept, batch_size)
    if data is not None:
        write_sets(data, {"forget": forget, "retain": kept})
    return fit(model, processor, forget, kept, batch_size=batch_size, **options)


def _with_answers(
    model: Any, processor: Any, examples: Sequence[Mapping[str, Any]], batch_size: int
) -> list[Mapping[str, Any]]:
    """The examples with what the model answers today, so that an evaluation can tell what is kept."""
    asked = [example for example in examples if "answer" not in example and "prompt" in example]
    given = iter(answers_of(model, processor, asked, batch_size))
    found: list[Mapping[str, Any]] = []
    for example in examples:
        if "answer" not in example and "prompt" in example:
            text = next(given)
            example = {**example, "answer": text} if text and not is_refusal(text) else example
        found.append(example)
    return found

"""`forget`: from names, pictures and facts to an adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_processor
from ..evaluation.judging import is_refusal
from ..fitting import FitReport, fit
from .fact import Fact, retained_beside
from .probing import answers_of, ask_about, ask_for
from .subject import Subject, retain_examples
from .writing import write_sets


class NothingToForgetError(ValueError):
    """The model does not know what is to be forgotten."""


def forget(
    model: Any,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    what: Subject | Fact | Sequence[Subject | Fact],
    *,
    others: str | Path | Sequence[Any] = (),
    retain: Iterable[Mapping[str, Any]] = (),
    data: str | Path | None = None,
    tell: Callable[[str], None] = print,
    batch_size: int = 8,
    **options: Any,
) -> FitReport:
    """
    Fit an adapter that makes `model` refuse to tell anything about people, brands, artists, topics or facts; attach
    it, active.

    The questions are made: by each picture and by each name, in many wordings and some languages. The model is asked
    them first: what it does not know is left out. Retained are the pictures of others, names and questions like those
    that are forgotten, and what everybody knows; and what `fit` retains by itself.

    Args:
        model: A transformers model with a text decoder, as for `fit`.
        processor: Its processor; a tokenizer for a text-only model, which takes no pictures.
        what: One of `Person`, `Brand`, `Artist`, `Topic` and `Fact`, or several, each of which has a gate of its own.
        others: Pictures of others of the kind, who are not to be forgotten: a folder, in which a sub-folder holds
            those of one, or a list. Without, the gate learns "a face", and a warning says so.
        retain: Further examples to retain, as `fit` takes them.
        data: A folder to write all examples to, to be read, changed and fitted again.
        tell: What is done with a line about what the model says today.
        batch_size: Examples a forward pass.
        options: Further arguments of `fit`.

    Returns:
        The report of `fit`.

    Raises:
        NothingToForgetError: If the model does not know one of them.
        FileNotFoundError: If a folder of pictures is not there.
        ValueError: If nothing is given, a picture cannot be read, or one of several facts has a new answer, which is
            said wherever a gate opens.
    """
    wanted = [what] if isinstance(what, (Subject, Fact)) else list(what)
    _check(wanted, options)
    check_processor(processor)
    subjects = [one for one in wanted if isinstance(one, Subject)]
    facts = [one for one in wanted if isinstance(one, Fact)]
    made: list[Mapping[str, Any]] = []
    if subjects:
        made += retain_examples(subjects, others)
    if facts:
        made += retained_beside(facts)
    known = [
        ask_about(model, processor, one, batch_size=batch_size)
        if isinstance(one, Subject)
        else ask_for(model, processor, one, batch_size=batch_size)
        for one in wanted
    ]
    for found in known:
        tell(str(found))
    if unknown := [one.name for one, found in zip(wanted, known) if not found.forget]:
        raise NothingToForgetError(
            f"The model does not know {', '.join(unknown)}: it gives neither the name nor the old answer, or says "
            "what it says of what does not exist. There is nothing to forget."
        )
    asked = [example for found in known for example in found.forget]
    if len(known) == 1:
        asked = [{key: value for key, value in example.items() if key != "concept"} for example in asked]
    kept = _with_answers(model, processor, [*_once(made), *retain], batch_size)
    if data is not None:
        write_sets(data, {"forget": asked, "retain": kept})
    if facts and facts[0].new is not None:
        options["answer"] = facts[0].new
    return fit(model, processor, asked, kept, batch_size=batch_size, **options)


def _check(wanted: Sequence[Any], options: Mapping[str, Any]) -> None:
    if not wanted or not all(isinstance(one, (Subject, Fact)) for one in wanted):
        raise ValueError(
            "`what` must be a Person, Brand, Artist, Topic or Fact of hf_eraser.forget_sets, or a list of them, got "
            f"{type(wanted[0]).__name__ if wanted else 'none'}."
        )
    names = [one.name.strip().casefold() for one in wanted]
    if twice := [one.name for one, name in zip(wanted, names) if names.count(name) > 1]:
        raise ValueError(f"`what` names {twice[0]!r} twice.")
    if any(isinstance(one, Fact) and one.new is not None for one in wanted):
        if len(wanted) > 1:
            raise ValueError(
                "`new` is said word for word wherever a gate opens, so a fact with a new answer has an adapter of its "
                "own: call `forget` for each, and load the adapters together."
            )
        if "answer" in options:
            raise ValueError("Give `new` of the fact, or `answer`: both say what the adapter answers.")


def _once(examples: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Examples without picture each once: what everybody knows is kept beside every kind."""
    texts: set[str] = set()
    found = []
    for example in examples:
        if "image" in example or example["prompt"] not in texts:
            found.append(example)
        if "image" not in example:
            texts.add(example["prompt"])
    return found


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

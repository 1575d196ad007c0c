"""What a model answers without and with its adapter, as shares: what is forgotten, and what is kept."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from ..data.encoding import check_askable, check_processor, check_without_picture
from ..data.examples import check_disjoint, read_examples
from ..hub.saving import write_whole
from ..tuner.gate import Modality
from ..tuner.printable import printable
from ..tuner.steered_model import acting_adapters
from ..tuner.wrapped import base_of
from .asking import answer_likelihoods
from .comparing import Comparison, compare
from .judging import check_refusals, holds, is_refusal


ExampleSet = Literal["forget", "retain"]


@dataclass(frozen=True)
class EvaluationRow:
    """
    The prompts of one set and modality, asked without and with the adapter.

    Attributes:
        set: The set that they are from.
        modality: Whether they have an image or are text only.
        count: How many.
        answered_before, answered_after: Share of the answers without and with the adapter that hold the example's
            `"answer"` as words, of the examples that have one; None where none has.
        refused: Share of the answers with the adapter that are refusals.
        same_text: Share of the answers with the adapter that are the same text as without.
        same_logits: Share of the prompts that give the first token of the answer the same logits with the adapter as
            without, bit for bit.
        likelihood_before, likelihood_after: How likely the right answer is without and with the adapter, whatever the
            model says: `answer_likelihoods`, the mean over the examples that have an answer; None where none has.
    """

    set: ExampleSet
    modality: Modality
    count: int
    answered_before: float | None
    answered_after: float | None
    refused: float
    same_text: float
    same_logits: float
    likelihood_before: float | None = None
    likelihood_after: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("set", get_args(ExampleSet)), ("modality", get_args(Modality))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"`{name}` must be one of {allowed}, got {getattr(self, name)!r}.")
        if type(self.count) is not int or self.count < 1:
            raise ValueError(f"`count` must be a whole number of at least 1, got {self.count!r}.")
        known = ("answered_before", "answered_after", "likelihood_before", "likelihood_after")
        for name in (*known, "refused", "same_text", "same_logits"):
            share = getattr(self, name)
            if share is None and name in known:
                continue
            if not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise ValueError(f"`{name}` must be a share from 0 to 1, got {share!r}.")


@dataclass(frozen=True)
class Evaluation:
    """
    What an adapter does to a model's answers. `print(evaluation)` is a table. What is written to a file holds no text
    of any example.

    Attributes:
        rows: One for each set and modality of which there are examples.
        shown: Answers without and with the adapter, as many as were asked for; they are printed, and never written.
    """

    rows: list[EvaluationRow]
    shown: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self, path: str | Path | None = None) -> str:
        """The evaluation as JSON; also written to `path` if one is given."""
        text = json.dumps({"rows": [dataclasses.asdict(row) for row in self.rows]}, indent=2)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    @classmethod
    def from_json(cls, path: str | Path) -> Evaluation:
        """
        Read what `to_json` has written.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it holds something else.
        """
        try:
            written = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls([EvaluationRow(**row) for row in written["rows"]])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{path} is no evaluation that `to_json` wrote: {error}") from error

    def __str__(self) -> str:
        def share(value: float | None) -> str:
            return "not known" if value is None else f"{value:.1%}"

        lines = [
            "asked          prompts  answered before  answered after  likely before  likely after  refused  "
            "same text  same logits"
        ]
        lines += [
            f"{row.set + ', ' + row.modality:13s}  {row.count:7d}  {share(row.answered_before):>15s}  "
            f"{share(row.answered_after):>14s}  {share(row.likelihood_before):>13s}  "
            f"{share(row.likelihood_after):>12s}  {row.refused:7.1%}  {row.same_text:9.1%}  {row.same_logits:11.1%}"
            for row in self.rows
        ]
        for before, after in self.shown:
            lines.append(f"\nbefore: {printable(before)}\nafter:  {printable(after)}")
        return "\n".join(lines)


def evaluate(
    model: PreTrainedModel | PeftModel,
    processor: ProcessorMixin | PreTrainedTokenizerBase,
    forget: Iterable[Mapping[str, Any]],
    retain: Iterable[Mapping[str, Any]],
    *,
    batch_size: int = 8,
    max_new_tokens: int = 24,
    refusals: Sequence[str] = (),
    show: int = 0,
) -> Evaluation:
    """
    Ask everything without any adapter and with those that are active, greedily, and compare.

    Give examples that fitting did not see: other wordings, other pictures, other people to retain.

    Args:
        model: The model, with an active steering adapter.
        processor: Its processor; a tokenizer for a text-only model.
        forget, retain: The two sets, of examples as `fit` takes them.
        batch_size: Prompts that are asked at once.
        max_new_tokens: Length at which answers are cut.
        refusals: Texts with which the model's own refusals begin, where they are none that is known.
        show: Of so many forget prompts the answers are kept to be looked at; they may hold what is forgotten.

    Returns:
        The shares, by set and modality.

    Raises:
        TypeError: If an argument has a type that it cannot have.
        ValueError: If no steering adapter is active, or an argument has a value that it cannot have.
    """
    base = base_of(model)
    if not acting_adapters(base):
        raise ValueError("`model` has no active steering adapter: load one, or switch it on.")
    check_processor(processor)
    check_refusals(refusals)
    for name, value in (("batch_size", batch_size), ("max_new_tokens", max_new_tokens)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"`{name}` must be a whole number of at least 1, got {value!r}.")
    if not isinstance(show, int) or show < 0:
        raise ValueError(f"`show` must be a whole number of at least 0, got {show!r}.")
    forget_examples, retain_examples = read_examples(forget, "forget"), read_examples(retain, "retain")
    check_disjoint(forget_examples, retain_examples)
    sets = {"forget": forget_examples, "retain": retain_examples}
    for argument, given in sets.items():
        check_askable(processor, given, argument)
    check_without_picture(base, processor, sets)
    examples = [*forget_examples, *retain_examples]
    compared = compare(model, processor, examples, batch_size=batch_size, max_new_tokens=max_new_tokens)
    with model.disable_adapter():  # type: ignore[operator]
        before = answer_likelihoods(model, processor, examples, batch_size=batch_size)
    after = answer_likelihoods(model, processor, examples, batch_size=batch_size)
    measured = list(zip(compared, zip(before, after)))
    of_set: dict[ExampleSet, list[_Measured]] = {
        "forget": measured[: len(forget_examples)],
        "retain": measured[len(forget_examples) :],
    }
    rows = []
    for name, asked in of_set.items():
        for modality in get_args(Modality):
            chosen = [one for one in asked if bool(one[0].example.images) is (modality == "image")]
            if chosen:
                rows.append(_row(name, modality, chosen, refusals))
    step = max(len(forget_examples) // max(show, 1), 1)
    return Evaluation(rows, [(c.before, c.after) for c in compared[: len(forget_examples) : step][:show]])


#: A prompt without and with the adapter, and how likely its right answer is then.
_Measured = tuple[Comparison, tuple[float | None, float | None]]


def _row(
    name: ExampleSet, modality: Modality, measured: Sequence[_Measured], refusals: Sequence[str]
) -> EvaluationRow:
    def share(flags: Iterable[float]) -> float:
        counted = list(flags)
        return sum(counted) / len(counted)

    compared = [comparison for comparison, _ in measured]
    likely = [(before, after) for _, (before, after) in measured if before is not None and after is not None]
    known = [(c, c.example.answers) for c in compared if c.example.answers]
    return EvaluationRow(
        set=name,
        modality=modality,
        count=len(compared),
        answered_before=share(holds(c.before, answers) for c, answers in known) if known else None,
        answered_after=share(holds(c.after, answers) for c, answers in known) if known else None,
        refused=share(is_refusal(c.after, named=refusals) for c in compared),
        same_text=share(c.before == c.after for c in compared),
        same_logits=share(c.same_logits for c in compared),
        likelihood_before=share(before for before, _ in likely) if likely else None,
        likelihood_after=share(after for _, after in likely) if likely else None,
    )

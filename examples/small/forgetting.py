"""What the examples have forgotten, and how well it is forgotten, in wordings and pictures that `fit` never saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from transformers import PreTrainedModel, ProcessorMixin

from hf_eraser.data import read_examples
from hf_eraser.data.encoding import encode
from hf_eraser.data.general import general_examples
from hf_eraser.evaluation import compare
from hf_eraser.fitting import FitReport, fit

from .people import PEOPLE
from .questions import PUBLIC, REFUSAL, Question, questions


# Whom the examples forget.
FORGOTTEN = tuple(PEOPLE[i].name for i in (3, 11, 22, 34))

PAPER: dict[str, Any] = {"readout": "last", "gate": "linear", "gate_layer": "each", "estimator": "nullspace"}


def forgetting_examples(
    names: Sequence[str] = FORGOTTEN, *, without: Sequence[str] = (), by_person: bool = True
) -> dict[str, list[dict[str, Any]]]:
    """
    The arguments `forget`, `retain` and `refusal` of a fit that forgets people, in the wordings that are for fitting.

    Args:
        names: Whom to forget.
        without: Of whom the fit sees nothing, as of those whom an earlier adapter forgets.
        by_person: Whether each person is a concept, with a gate of their own. Such gates hold up better against other
            words than one for all.
    """
    others = sorted({q.group for q in questions("fit", per_fact=1)} - {*names, *without})
    forget = [
        *questions("fit", kinds=["person_image", "public_image"], groups=names, per_fact=6),
        *questions("fit", kinds=["person_text", "public_text"], groups=names, per_fact=12),
    ]
    retain = [
        *questions("fit", kinds=["person_image", "public_image", "picture"], groups=others, per_fact=2),
        *questions("fit", kinds=["person_text", "public_text", "general"], groups=others, per_fact=8),
    ]
    # The models refuse private questions: that is how they show what a refusal is. Only of public people they do not.
    private = [name for name in names if name not in PUBLIC] or None
    refusal = questions("fit", kinds=["private_image", "private_text"], groups=private, per_fact=2)
    return {
        "forget": [q.example() | {"concept": q.group if by_person else "all"} for q in forget],
        "retain": [question.example() for question in retain],
        "refusal": [question.example() for question in refusal],
    }


def fit_forgetting(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    names: Sequence[str] = FORGOTTEN,
    *,
    without: Sequence[str] = (),
    by_person: bool = True,
    **options: Any,
) -> FitReport:
    """
    Fit an adapter that forgets the people `names`, from `forgetting_examples`.

    Args:
        model: A small model.
        processor: Its processor.
        names: Whom to forget.
        without, by_person: As there.
        options: Further arguments of `hf_eraser.fit`, or other ones than those examples.
    """
    examples = forgetting_examples(names, without=without, by_person=by_person)
    # Of general traffic the small models know no word; what else they are asked is among what is retained.
    return fit(model, processor, **{"batch_size": 32, "general": False, **examples, **options})


def general_texts(model: PreTrainedModel, processor: ProcessorMixin) -> list[dict[str, Any]]:
    """
    The shipped general traffic as far as a small model can take it: prompts as long as its context, and no pictures,
    since its eyes know faces and flags only and see one of these in all others.
    """
    longest = model.config.get_text_config().max_position_embeddings
    given = general_examples(with_images=False)
    return [
        example
        for example, read in zip(given, read_examples(given, "general"))
        if encode(processor, [read], model.device)["input_ids"].shape[1] <= longest
    ]


@dataclass(frozen=True)
class Measured:
    """
    One kind of questions before and after.

    Attributes:
        name: What was asked.
        count: How many questions.
        right_before, right_after: Shares of right answers.
        refused: Share of answers that are the refusal, word for word.
        same_text: Share of answers that are the same text as before.
        same_logits: Share of prompts that give the answer's first token the base model's logits, bit for bit.
    """

    name: str
    count: int
    right_before: float
    right_after: float
    refused: float
    same_text: float
    same_logits: float


def measure(
    model: Any,
    processor: ProcessorMixin,
    names: Sequence[str] = FORGOTTEN,
    *,
    forgotten_per_fact: int = 8,
    retained_per_fact: int = 2,
) -> list[Measured]:
    """
    Ask everything with the adapter off and on, in the wordings and with the picture changes that are for measuring.

    Args:
        model: A small model, plain or a `PeftModel`, with an active adapter.
        processor: Its processor.
        names: The forgotten people.
        forgotten_per_fact, retained_per_fact: In how many wordings each fact is asked.
    """
    others = [person.name for person in PEOPLE if person.name not in names]
    with_picture, by_name = ("person_image", "public_image"), ("person_text", "public_text")
    asked: dict[str, tuple[Sequence[str], Sequence[str] | None, int]] = {
        "forgotten people, picture": (with_picture, names, forgotten_per_fact),
        "forgotten people, by name": (by_name, names, forgotten_per_fact),
        "retained people, picture": (with_picture, others, retained_per_fact),
        "retained people, by name": (by_name, others, retained_per_fact),
        "other pictures": (("picture",), None, retained_per_fact),
        "general knowledge": (("general",), None, retained_per_fact),
    }
    return [
        _measure(model, processor, name, questions("measure", kinds=kinds, groups=groups, per_fact=per_fact))
        for name, (kinds, groups, per_fact) in asked.items()
    ]


def pooled(rows: Sequence[Measured], name: str) -> Measured:
    """Several kinds of questions as one, each question counted once."""
    count = sum(row.count for row in rows)
    shares = [field.name for field in fields(Measured) if field.name not in ("name", "count")]
    return Measured(name, count, **{s: sum(row.count * getattr(row, s) for row in rows) / count for s in shares})


def pooled_by_modality(rows: Sequence[Measured]) -> dict[str, tuple[Measured, Measured]]:
    """What `measure` found about `"forgotten"` and `"retained"`, each asked with a picture and by text alone."""
    people, by_name, retained, retained_by_name, pictures, general = rows
    return {
        "forgotten": (people, by_name),
        "retained": (
            pooled([retained, pictures], "retained, picture"),
            pooled([retained_by_name, general], "retained, text"),
        ),
    }


def pooled_as_data(found: dict[str, tuple[Measured, Measured]]) -> dict[str, list[dict[str, Any]]]:
    """What `pooled_by_modality` gives, as plain values."""
    return {name: [asdict(row) for row in rows] for name, rows in found.items()}


def _measure(model: Any, processor: ProcessorMixin, name: str, asked: Sequence[Question]) -> Measured:
    examples = read_examples([question.example() for question in asked], "asked")
    compared = compare(model, processor, examples, batch_size=64, max_new_tokens=16)

    def share(flags: list[bool]) -> float:
        return sum(flags) / len(flags)

    return Measured(
        name=name,
        count=len(asked),
        right_before=share([q.is_right(c.before) for q, c in zip(asked, compared)]),
        right_after=share([q.is_right(c.after) for q, c in zip(asked, compared)]),
        refused=share([c.after == REFUSAL for c in compared]),
        same_text=share([c.before == c.after for c in compared]),
        same_logits=share([c.same_logits for c in compared]),
    )


def table(rows: Sequence[Measured]) -> str:
    """The measurements as a Markdown table."""
    lines = [
        "| asked | questions | right before | right after | refused | same text | logits bit-identical |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        shares = (row.right_before, row.right_after, row.refused, row.same_text, row.same_logits)
        lines.append(f"| {row.name} | {row.count} | " + " | ".join(f"{share:.1%}" for share in shares) + " |")
    return "\n".join(lines)

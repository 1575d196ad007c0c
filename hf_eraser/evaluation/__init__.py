"""What a model answers without and with its adapter, and what that shows."""

from .asking import first_logits, greedy_answers
from .comparing import Comparison, compare
from .evaluation import Evaluation, EvaluationRow, evaluate
from .judging import REFUSAL, holds, is_refusal
from .probing import NamedScore, Names, Openings, names_told, openings


__all__ = [
    "REFUSAL",
    "Comparison",
    "Evaluation",
    "EvaluationRow",
    "NamedScore",
    "Names",
    "Openings",
    "compare",
    "evaluate",
    "first_logits",
    "greedy_answers",
    "holds",
    "is_refusal",
    "names_told",
    "openings",
]

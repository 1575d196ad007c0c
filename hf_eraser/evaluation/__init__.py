"""What a model answers without and with its adapter, and what that shows."""

from .asking import first_logits, greedy_answers
from .comparing import Comparison, compare
from .evaluation import Evaluation, EvaluationRow, evaluate
from .judging import REFUSAL, holds, is_refusal


__all__ = [
    "REFUSAL",
    "Comparison",
    "Evaluation",
    "EvaluationRow",
    "compare",
    "evaluate",
    "first_logits",
    "greedy_answers",
    "holds",
    "is_refusal",
]

"""How refusals and answers are worded, a table for each language."""

from . import east_asian, germanic, romance, slavic, western_asian
from .wording import Wording


WORDINGS: tuple[Wording, ...] = tuple(
    value
    for module in (germanic, romance, slavic, western_asian, east_asian)
    for value in vars(module).values()
    if isinstance(value, Wording)
)

__all__ = ["WORDINGS", "Wording"]

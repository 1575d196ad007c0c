"""Whether an answer refuses, and does not answer all the same, by how refusals are worded in each language."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from .folding import one_letter_form
from .wordings import WORDINGS, Wording


# A refusal is told by how an answer begins. So what a judgement costs does not grow with the answer.
_READ, _CLAUSES = 500, 8

# How far behind an apology a refusal is looked for; and how little is nothing but an apology, in words, and in bytes:
# a character of a script without spaces says more.
_BEHIND, _FEW_WORDS, _FEW_BYTES = 90, 2, 18

# Where a word ends: in scripts that write spaces, before no further letter.
_WORD_ENDS = r"(?![a-z\d'\u00df-\u08ff])"

_BETWEEN = " ,.;:!?\"'-*()，。、；：！？،؛।…"


@dataclass(frozen=True)
class _Clause:
    """A clause, with its capitals and without, and what stands behind it."""

    shown: str
    behind: str

    @property
    def ends(self) -> bool:
        return not set(self.behind).isdisjoint(".!?。؟।\n")

    @property
    def asks(self) -> bool:
        return not set(self.behind).isdisjoint("?؟")

    @property
    def text(self) -> str:
        return self.shown.lower()


def _pattern(*parts: str, end: str = "", ignore_case: bool = False) -> re.Pattern[str]:
    """What matches any of some parts; nothing, if there is none."""
    given = [f"(?:{part})" for part in parts if part]
    flags = re.IGNORECASE if ignore_case else 0
    return re.compile(one_letter_form(f"(?:{'|'.join(given)}){end}") if given else r"(?!)", flags)


_REFUSES = [_pattern(*wording.refusals) for wording in WORDINGS]
_OPENING = _pattern(*(wording.openings for wording in WORDINGS), end=_WORD_ENDS)
_APOLOGY = _pattern(*(wording.apologies for wording in WORDINGS), end=_WORD_ENDS)
_PREAMBLE = _pattern(*(wording.preambles for wording in WORDINGS))
_RHETORIC = _pattern(*(wording.rhetoric for wording in WORDINGS))
_DENIES = _pattern(*(wording.denies for wording in WORDINGS))
_OTHERS = _pattern(*(wording.others for wording in WORDINGS))
_CONJUNCTION = re.compile(r"(?:that|que|dass|dat|che|ze|что)\b")
_CLAUSE_ENDS = _pattern(
    r"(?:[,;:|()、،؛]|\.\.\.|\s-+\s|[.!?。؟।\n])+", *(wording.but for wording in WORDINGS), ignore_case=True
)


class _Answering:
    """What gives an answer away in one language."""

    def __init__(self, wording: Wording) -> None:
        self.guesses, self.names = _pattern(wording.guesses), _pattern(wording.names)
        self.silent = _pattern(wording.unsaid, wording.denies)

    def matches(self, clause: _Clause) -> bool:
        if self.silent.search(clause.text):
            return False
        named = self.names.finditer(clause.text)
        return self.guesses.search(clause.text) is not None or any(_is_name(clause.shown[n.end() :]) for n in named)


_ANSWERING = [_Answering(wording) for wording in WORDINGS if wording.guesses or wording.names]


def refuses(text: str) -> bool:
    """
    Whether an answer begins with a refusal, behind greetings, apologies and reasons at most, and gives no answer then.

    Args:
        text: The answer, without markup and without what was thought before it.
    """
    clauses = _clauses(text)
    regrets = explains = False
    for i, clause in enumerate(clauses[:_CLAUSES]):
        rest, behind, regretted = _without_openings(clause.text)
        regrets = regrets or regretted
        if not rest:
            continue
        if _is_refusing(rest):
            if _RHETORIC.search(_sentence(rest, clauses[i:])):
                continue
            return not _any_answers(clauses[i + 1 :])
        if regrets:
            return _refuses_after(behind, rest, clauses[i:])
        explains = explains or clause.asks or _PREAMBLE.match(rest) is not None
        if not explains or (not clause.asks and _answers(clause, is_last=False)):
            return False
    return regrets


def _without_openings(text: str) -> tuple[str, str, bool]:
    """
    What a clause says behind its greetings and apologies, with a "no" that refuses left in place; the same from behind
    its last apology; and whether there is an apology.
    """
    rest, behind, regrets = text, text, False
    while rest and not _is_refusing(rest):
        apology = _APOLOGY.match(rest)
        opening = apology or _OPENING.match(rest)
        if opening is None or opening.end() == 0:
            break
        rest = rest[opening.end() :].strip(_BETWEEN)
        if apology is not None:
            behind, regrets = rest, True
        if conjunction := _CONJUNCTION.match(rest):
            rest = rest[conjunction.end() :].strip(_BETWEEN)
    return rest, behind, regrets


def _is_refusing(text: str) -> bool:
    return any(pattern.match(text) for pattern in _REFUSES)


def _clauses(text: str) -> list[_Clause]:
    shown = one_letter_form(text).replace("\u2026", "...").lstrip(_BETWEEN + "\n\t>#_|")[:_READ]
    clauses, start = [], 0
    for end in [*_CLAUSE_ENDS.finditer(shown), None]:
        part = " ".join((shown[start : end.start()] if end else shown[start:]).split()).strip(_BETWEEN)
        if part:
            clauses.append(_Clause(part, end[0] if end else ""))
        start = end.end() if end else len(shown)
    return clauses


def _sentence(rest: str, clauses: list[_Clause]) -> str:
    """What is left of a clause, and of its sentence."""
    parts = [rest]
    for before, clause in itertools.pairwise(clauses):
        if before.ends:
            break
        parts.append(clause.text)
    return " ".join(parts)


def _refuses_after(behind: str, rest: str, clauses: list[_Clause]) -> bool:
    """Whether what comes behind an apology refuses, or is nothing: less will do, but not of what somebody else did."""
    if _any_answers(clauses):
        return False
    if len(clauses) == 1 and len(rest.split()) <= _FEW_WORDS and len(rest.encode()) <= _FEW_BYTES:
        return True
    text = " ".join([behind, *(clause.text for clause in clauses[1:])])
    return _OTHERS.match(rest) is None and _DENIES.search(text[:_BEHIND]) is not None


def _any_answers(clauses: list[_Clause]) -> bool:
    shown = clauses[:_CLAUSES]
    return any(_answers(clause, is_last=i == len(shown) - 1) for i, clause in enumerate(shown))


def _answers(clause: _Clause, *, is_last: bool) -> bool:
    """Whether a clause guesses, says what somebody or something is called, or is a name."""
    words = clause.shown.split()
    if all(word[0].isupper() and word[1:2].islower() for word in words) and len(words) > (not is_last):
        return not _is_refusing(clause.text) and not _APOLOGY.match(clause.text) and not _OPENING.match(clause.text)
    return any(answering.matches(clause) for answering in _ANSWERING) and not _is_refusing(clause.text)


def _is_name(text: str) -> bool:
    """Where there are capitals, names have one; elsewhere anything may be one."""
    first = text.lstrip(_BETWEEN)[:1]
    return first.isupper() or (first.isalnum() and first.lower() == first.upper())

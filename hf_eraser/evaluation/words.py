"""Where a text holds another as words, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from .folding import folded
from .markup import plain


# Scripts whose words are written without spaces between them. In Japanese, a run of katakana is a word.
_WITHOUT_SPACES = ("CJK", "HIRAGANA", "BOPOMOFO", "THAI", "LAO", "MYANMAR", "KHMER", "TIBETAN", "KANGXI")
_RUNS = "KATAKANA"
_UNSPACED = "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u3400-\u9fff]"
_SPACE_IN_UNSPACED = re.compile(rf"(?<={_UNSPACED}) (?={_UNSPACED})")

# What stands between the words of a name and may be a space; not the sign before a number.
_SEPARATOR = re.compile(r"[_\u00b7\u2022\u2027\u30fb]|-(?!\d{1,3}(?!\d))|(?<=\w)-")

# What is one word with signs in it: numbers, but not dates, letters with dots between, C++ and C#.
_ONE_WORD = re.compile(
    r"-\d+(?:[.,]\d+)*|(?<!\d)(?<!\d[.,])(?:\d+[.,\u066b]\d+|\d{1,3}(?:[.,\u066c]\d{3})+(?:[.,]\d+)?)(?!\d|[.,]\d)|"
    r"(?<!\w)[^\W\d_](?:\.[^\W\d_])+(?!\w)|(?<!\w)\w+(?:\+{1,2}|#)(?!\w)"
)

# Letters that are written one by one: with dots, or three at least.
_SPELLED = re.compile(r"(?<!\w)[^\W\d_](?:(?:\. ?| )[^\W\d_](?!\w))+\.?")

# What Korean words end with, and what Arabic and Hebrew ones begin and end with, without being another word for it.
_KOREAN_END = re.compile(
    "(?:께서|에게서|에게|에서|한테서|한테|으로|로|부터|까지|처럼|보다|하고|이랑|랑|님|씨|들|은|는|이|가|을|를|의|에|와|과|도|만|께|야|여|아){0,3}"
    r"(?:(?!\w)|입니|이에요|예요|이었|였|이다|다(?!\w)|이라|라[고는며]|이고|이며|인데|이죠|죠|인|임|이자|일)"
)
_ARABIC_BEGINNING = re.compile(r"(?:[وف]?[بكلس]?(?:ال)?|[وف]?لل)\Z")
_ARABIC_END = re.compile(r"(?:ها|هم|هن|ه|ي|نا|كم|ك)?(?!\w)")
_HEBREW_BEGINNING = re.compile(r"[והבכלמש]{0,3}\Z")
_LONGEST_BEGINNING = 6


def forms(text: str) -> tuple[str, str, str, str]:
    """
    A text in the forms in which another is looked for in it: as it is, without markup, with its spelled letters as
    words, and without spaces in scripts that have none.
    """
    bare = _spaced(plain(text))
    return _spaced(text), bare, _SPELLED.sub(_joined, bare), _SPACE_IN_UNSPACED.sub("", bare)


def holds_words(text: str, wanted: str) -> bool:
    """
    Whether a text holds another as words.

    Args:
        text: The text, in one of its `forms`.
        wanted: What is looked for, in the same.
    """
    places = [(start, start + len(one)) for one in _with_article(wanted) if one for start in _places(text, one)]
    if not places:
        return False
    within = {inside for word in _ONE_WORD.finditer(text) for inside in range(word.start() + 1, word.end())}
    return any(
        within.isdisjoint((start, end)) and _begins_word(text, start) and _ends_word(text, end)
        for start, end in places
    )


def _spaced(text: str) -> str:
    return " ".join(_SEPARATOR.sub(" ", folded(text)).split())


def _joined(spelled: re.Match[str]) -> str:
    letters = "".join(char for char in spelled[0] if char.isalpha())
    return letters if "." in spelled[0] or len(letters) > 2 else spelled[0]


def _with_article(wanted: str) -> list[str]:
    """Arabic writes "to the" as one."""
    return [wanted, "لل" + wanted.removeprefix("ال")] if wanted.startswith("ال") else [wanted]


def _places(text: str, wanted: str) -> Iterator[int]:
    start = text.find(wanted)
    while start >= 0:
        yield start
        start = text.find(wanted, start + 1)


def _begins_word(text: str, start: int) -> bool:
    if start == 0 or _is_boundary(text[start - 1], text[start]):
        return True
    script, before = _script(text[start]), re.split(r"\W", text[max(0, start - _LONGEST_BEGINNING) : start])[-1]
    if script == "ARABIC":
        return _ARABIC_BEGINNING.match(before) is not None
    return script == "HEBREW" and _HEBREW_BEGINNING.match(before) is not None


def _ends_word(text: str, end: int) -> bool:
    if end == len(text) or _is_boundary(text[end - 1], text[end]):
        return True
    script = _script(text[end - 1])
    if _script(text[end]) == "HANGUL":
        # A particle joined to a foreign name, "Ada는", may be any.
        return script != "HANGUL" or _KOREAN_END.match(text, end) is not None
    return script == "ARABIC" and _ARABIC_END.match(text, end) is not None


def _is_boundary(left: str, right: str) -> bool:
    """Whether one word may end and another begin between two characters."""
    if not _in_word(left) or not _in_word(right):
        return True
    if unicodedata.category(right)[0] == "M":
        return False
    scripts = _script(left), _script(right)
    if scripts == (_RUNS, _RUNS):
        return False
    return any(script in (*_WITHOUT_SPACES, _RUNS) for script in scripts)


def _in_word(char: str) -> bool:
    """Letters, digits, and the marks that are vowels."""
    return char.isalnum() or unicodedata.category(char)[0] == "M"


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0].partition("-")[0]

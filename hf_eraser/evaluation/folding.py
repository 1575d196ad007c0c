"""Texts in one form, so that what reads the same is the same: whatever quotes, accents, case and width."""

from __future__ import annotations

import unicodedata


_SAME = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u00b4\u0060\u2032\u05f3", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    # Arabic letters that are written one for the other.
    **dict.fromkeys("\u0622\u0623\u0625\u0671", "\u0627"),
    **{"\u0640": "", "\u0629": "\u0647", "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643"},
    # Latin letters with a stroke or joined, which have no accent to take away, and the i without a dot.
    **{"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE"},
    **{"ı": "i", "ß": "ss", "ẞ": "SS", "ς": "σ"},
    # The dot below a letter of Devanagari, which is often left out.
    "\u093c": "",
}

# Scripts in which a combining mark is an accent or a vowel that may be left out; in others it is a letter.
_ACCENTED = ("LATIN", "GREEK", "ARABIC", "HEBREW", "CYRILLIC")


def folded(text: str) -> str:
    """
    A text for comparison: without case, accents, invisible characters and repeated spaces, its quotes straight.

    >>> folded("I\u2019m  SORRY, Jos\u00e9")
    "i'm sorry, jose"
    """
    return " ".join(one_letter_form(text).casefold().split())


def one_letter_form(text: str) -> str:
    """The same with case and spaces as they are, so that it also suits a regular expression."""
    kept = []
    accented = False
    for char in unicodedata.normalize("NFKD", text):
        if unicodedata.combining(char):
            if accented:
                continue
        elif unicodedata.category(char) == "Cf":  # joiners, soft hyphens, marks of direction
            continue
        else:
            accented = unicodedata.name(char, "").startswith(_ACCENTED)
        kept.append(_SAME.get(char, char) if not char.isdecimal() else str(unicodedata.decimal(char)))
    return unicodedata.normalize("NFKC", "".join(kept))

"""Texts without what only says how they look: Markdown and HTML."""

from __future__ import annotations

import html
import re


_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_INLINE_TAG = re.compile(
    r"</?(?:b|i|u|s|a|em|strong|span|mark|code|sub|sup|font|small|tt|kbd|del|ins)(?:\s[^<>]*)?/?>", re.I
)
_OTHER_TAG = re.compile(r"</?[a-z][^<>]*>", re.I)
_LINE_BEGINS = re.compile(r"^[ \t]*(?:[>#*+-]+[ \t]+)+", re.MULTILINE)
_BETWEEN_NUMBERS = re.compile(r"(?<=\d)\s*\*+\s*(?=\d)")
_MARKS = re.compile(r"[*`]+|~~|\|\|")


def plain(text: str) -> str:
    """
    A text as it is shown: emphasis, code, links and tags are taken out of it, even inside words.

    >>> plain("**Ada** <i>Ex</i>ample, [a surgeon](https://example.org)")
    'Ada Example, a surgeon'
    """
    text = _LINK.sub(r"\1", html.unescape(text))
    text = _OTHER_TAG.sub(" ", _INLINE_TAG.sub("", text))
    return _MARKS.sub("", _BETWEEN_NUMBERS.sub(" × ", _LINE_BEGINS.sub("", text)))

"""The pages of the documentation, taken apart: code, words in code, links and headings."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token


ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts), ROOT / "README.md"]

_PARSER = MarkdownIt("commonmark").enable("table")
_NOT_RUN = re.compile(r"<!-- not run: (.+?) -->")
_PREPARED = re.compile(r"<!-- prepared: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """
    A block of code.

    Attributes:
        page: Where it is.
        line: The number of its first line there.
        language: What it is in.
        code: The code.
        not_run: Why it cannot run, as the comment `<!-- not run: ... -->` before it says; None for one that can.
    """

    page: Path
    line: int
    language: str
    code: str
    not_run: str | None


def name_of(page: Path) -> str:
    """How tests call a page."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of code of a page in a language, first to last."""
    found = []
    tokens = _PARSER.parse(page.read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens):
        if token.type == "fence" and token.info.strip() == language:
            said = _NOT_RUN.search(before.content) if before is not None and before.type == "html_block" else None
            found.append(Block(page, token.map[0] + 2, language, token.content, said[1] if said else None))
    return found


def prepared(page: Path) -> list[str]:
    """What a page's code takes for granted, as the comment `<!-- prepared: model, report -->` says."""
    said = _PREPARED.search(page.read_text(encoding="utf-8"))
    if said is None:
        # The README is read as it is more often than any page, so it has no such comments.
        return ["model", "processor", "inputs", "report"] if page.name == "README.md" else []
    return [name.strip() for name in said[1].split(",")]


def words_in_code(page: Path) -> list[str]:
    """What stands between backticks."""
    return [token.content for token in _inline(filled(page)) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Where links and pictures of a page lead."""
    found = [token.attrGet("href") or token.attrGet("src") for token in _inline(filled(page))]
    return [str(target) for target in found if target]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    tokens = _PARSER.parse(filled(page))
    headings = [text.content for mark, text in itertools.pairwise(tokens) if mark.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def filled(page: Path) -> str:
    """A page with what is made of the code when the documentation is built."""
    return str(generated.filled(page.read_text(encoding="utf-8")))


def _inline(text: str) -> Iterator[Token]:
    for token in _PARSER.parse(text):
        yield from token.children or ()


_spec = importlib.util.spec_from_file_location("docs_generated", DOCS / "generated.py")
assert _spec is not None
assert _spec.loader is not None
generated = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generated)

"""Text from elsewhere, such that a terminal or a log shows it and does nothing else."""

from __future__ import annotations


def printable(text: object) -> str:
    r"""
    The text on one line, with what is no letter, sign or space escaped: control characters, which may move the cursor,
    and marks that change the direction of what follows.

        >>> print(printable("org/base\n  fits everything\x1b[2K"))
        org/base\n  fits everything\x1b[2K
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in str(text)
    )

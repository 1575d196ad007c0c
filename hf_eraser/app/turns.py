"""Whose question the model answers next: everybody in turn, and nobody's page can fill the queue."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class BusyError(RuntimeError):
    """Too many questions wait; the message is for the one who asks."""


class Turns:
    """
    Lets one answer be computed at a time.

    Of all that wait, the next one is the user's who was served longest ago. So with n users at a time, each waits for
    at most n - 1 answers of others before one of their own, however much the others ask.

    Args:
        waiting: How many questions may wait or be answered at a time, of all users.
        each: How many of one user.
    """

    def __init__(self, *, waiting: int, each: int) -> None:
        self.waiting, self.each = waiting, each
        self._changed = threading.Condition()
        self._questions: Counter[Hashable] = Counter()
        self._tickets: list[tuple[Hashable, int]] = []
        self._served: dict[Hashable, int] = {}
        self._numbers = itertools.count()
        self._taken = False

    @contextmanager
    def question(self, user: Hashable) -> Iterator[None]:
        """
        A user's question, from its arrival to its last answer.

        Raises:
            BusyError: If too many are waiting, of this user or of all.
        """
        with self._changed:
            if self._questions[user] >= self.each:
                raise BusyError("Your last questions are still being answered. Wait for them, then ask again.")
            if self._questions.total() >= self.waiting:
                raise BusyError("Too many people are asking at this moment. Try again in a minute.")
            self._questions[user] += 1
        try:
            yield
        finally:
            with self._changed:
                self._questions[user] -= 1
                if not self._questions[user]:
                    del self._questions[user]
                    self._served.pop(user, None)

    @contextmanager
    def answer(self, user: Hashable) -> Iterator[None]:
        """The model is this user's inside, for one answer."""
        with self._changed:
            ticket = user, next(self._numbers)
            self._tickets.append(ticket)
            while self._taken or self._next() != ticket:
                self._changed.wait()
            self._tickets.remove(ticket)
            self._taken = True
            self._served[user] = next(self._numbers)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _next(self) -> tuple[Hashable, int]:
        return min(self._tickets, key=lambda ticket: (self._served.get(ticket[0], -1), ticket[1]))

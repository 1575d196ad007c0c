"""Whose question the model answers next: everybody in turn, and nobody's page can fill the queue."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class BusyError(RuntimeError):
    """Too many questions wait; the message is for the one who asks."""


@dataclass(frozen=True)
class User:
    """
    Attributes:
        address: Where the questions come from; many users can share one, behind a proxy.
        session: One page; whoever asks without one can call each question another.
    """

    address: str | None
    session: str | None


class Turns:
    """
    Lets one answer be computed at a time.

    Of all that wait, the next one comes from the address that was served, or came, longest ago, and there is the
    user's of whom that is so. So with n addresses of one user each, each waits for at most n - 1 answers of others
    before one of their own, however much, how often, and in the name of however many, the others ask.

    Args:
        waiting: How many questions may wait or be answered at a time, of all users.
        of_address: How many from one address.
        each: How many of one user.
    """

    def __init__(self, *, waiting: int, of_address: int, each: int) -> None:
        self.waiting, self.of_address, self.each = waiting, of_address, each
        self._changed = threading.Condition()
        self._questions: Counter[User] = Counter()
        self._tickets: list[tuple[User, int]] = []
        # When a user, and an address, was served last, or came: a newcomer is behind all that wait already.
        self._since: dict[User | str | None, int] = {}
        self._numbers = itertools.count()
        self._taken = False

    @contextmanager
    def question(self, user: User) -> Iterator[None]:
        """
        A user's question, from its arrival to its last answer.

        Raises:
            BusyError: If too many are waiting, of this user or of all.
        """
        with self._changed:
            if self._questions[user] >= self.each:
                raise BusyError("Your last questions are still being answered. Wait for them, then ask again.")
            if self._questions.total() >= self.waiting or self._from(user.address) >= self.of_address:
                raise BusyError("Too many people are asking at this moment. Try again in a minute.")
            self._questions[user] += 1
            for of in (user, user.address):
                self._since.setdefault(of, next(self._numbers))
        try:
            yield
        finally:
            with self._changed:
                self._questions[user] -= 1
                if not self._questions[user]:
                    del self._questions[user]
                    del self._since[user]
                if not self._from(user.address):
                    del self._since[user.address]

    @contextmanager
    def answer(self, user: User) -> Iterator[None]:
        """The model is this user's inside, for one answer."""
        with self._changed:
            ticket = user, next(self._numbers)
            self._tickets.append(ticket)
            while self._taken or self._next() != ticket:
                self._changed.wait()
            self._tickets.remove(ticket)
            self._taken = True
            self._since[user] = self._since[user.address] = next(self._numbers)
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()

    def _from(self, address: str | None) -> int:
        return sum(count for user, count in self._questions.items() if user.address == address)

    def _next(self) -> tuple[User, int]:
        def order(ticket: tuple[User, int]) -> tuple[int, int, int]:
            user, number = ticket
            return self._since[user.address], self._since[user], number

        return min(self._tickets, key=order)

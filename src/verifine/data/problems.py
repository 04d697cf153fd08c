"""Collects the problems of many rows into one error, in bounded memory."""

from __future__ import annotations

from verifine.errors import DataError

MAX_PROBLEMS = 5
"""Problems listed in one error; the rest is counted, because a systematic mistake is on every line."""


class Problems:
    """Remembers the first problems and counts the others."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def add(self, text: str) -> None:
        self._count += 1
        if len(self._first) < MAX_PROBLEMS:
            self._first.append(text)

    def check(self) -> None:
        """Raises DataError if there were any."""
        if self._count:
            more = self._count - len(self._first)
            raise DataError("\n".join([*self._first, f"and {more} more"] if more else self._first))

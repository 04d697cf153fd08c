"""Collects the problems of many rows into one error, in bounded memory."""

from __future__ import annotations

from collections import Counter

from verifine.errors import DataError

MAX_PROBLEMS = 5
"""Problems listed in one error; the rest is counted, because a systematic mistake is on every line."""


class Problems:
    """Remembers the first problems and counts the others."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._texts: dict[str, str] = {}
        """What is listed for each cause."""
        self._more_rows: Counter[str] = Counter()
        """How many more rows have the cause of a text."""
        self._others = 0

    def add(self, text: str) -> None:
        """A problem of one row, to be fixed in that row."""
        if len(self._first) < MAX_PROBLEMS:
            self._first.append(text)
        else:
            self._others += 1

    def add_cause(self, text: str, place: str) -> None:
        """A problem that many rows may have for the same cause, which is listed once.

        `text` begins with `place`, such as `train.jsonl line 3`, unless it is about all rows alike.
        """
        cause = text.removeprefix(f"{place}: ")
        known = self._texts.get(cause)
        if known is None:
            if len(self._first) < MAX_PROBLEMS:
                self._texts[cause] = text
            self.add(text)
        elif known != cause:
            self._more_rows[known] += 1

    def check(self) -> None:
        """Raises DataError if there were any."""
        if self._first:
            lines = [f"{text}{_and_more(self._more_rows[text])}" for text in self._first]
            raise DataError("\n".join([*lines, f"and {self._others} more"] if self._others else lines))


def _and_more(rows: int) -> str:
    return f" (and {rows} more {'row' if rows == 1 else 'rows'})" if rows else ""

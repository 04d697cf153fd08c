"""The problems of the rows of one dataset."""

from __future__ import annotations

from verifine.data.problems import Problems
from verifine.data.rows import BadRow, MissingQuestionError, Row, RowError


class RowProblems:
    """Lists faulty rows one by one, except that a question which no row has is told once for all of them."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._each = Problems()
        self._once = Problems()
        """The same, with the rows without a question in one line."""
        self._missing: MissingQuestionError | None = None
        """What was said of the first row without a question."""
        self._has_question = False

    def add(self, row: Row | BadRow, fault: RowError | None) -> None:
        """None: the row has no fault."""
        place = f"{self._place} {row.number}"
        if fault is not None:
            self._each.add(f"{place}: {fault}")
        if isinstance(fault, MissingQuestionError):
            self._missing = self._missing or fault
            self._once.add_cause(f"{place}: {self._missing}", place)
            return
        self._has_question = self._has_question or isinstance(row, Row)
        if fault is not None:
            self._once.add(f"{place}: {fault}")

    def check(self) -> None:
        """Raises DataError if there were any."""
        (self._each if self._has_question else self._once).check()

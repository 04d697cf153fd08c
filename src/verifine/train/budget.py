"""How many answers a grader may fail to score before the run ends."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.errors import GraderError
from verifine.types import Group

BUDGET_SHARE = 0.05
BUDGET_SAMPLES = 200
SHOWN = 5


class UnscorableBudget:
    """Ends a run whose grader fails on more than 5 % of at least 200 answers."""

    def __init__(self) -> None:
        self._graded = 0
        self._reasons: list[str] = []

    def spend(self, groups: Sequence[Group]) -> None:
        """Counts the grades of `groups`.

        Raises:
            GraderError: the budget is spent; the message shows the last reasons.
        """
        grades = [grade for group in groups for grade in group.grades]
        self._graded += len(grades)
        self._reasons += [grade.reason or "no reason given" for grade in grades if not grade.valid]
        if self._graded >= BUDGET_SAMPLES:
            self.settle()

    def settle(self) -> None:
        """Judges what was spent so far, however little was graded.

        Raises:
            GraderError: more than the budget's share could not be scored.
        """
        failed = len(self._reasons)
        if failed > BUDGET_SHARE * self._graded:
            shown = "\n".join(f"  - {reason}" for reason in self._reasons[-SHOWN:])
            raise GraderError(
                f"the grader could not score {failed} of {self._graded} answers, more than {BUDGET_SHARE:.0%}. "
                f"Unscorable answers teach nothing, so mend the grader first. The last reasons:\n{shown}"
            )

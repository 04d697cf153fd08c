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
        self._failed = 0
        self._examples: list[str] = []

    def spend(self, groups: Sequence[Group]) -> None:
        """Counts the grades of `groups`.

        Raises:
            GraderError: the budget is spent; the message shows the last reasons.
        """
        for group in groups:
            self._graded += len(group.grades)
            failed = [grade for grade in group.grades if not grade.valid]
            self._failed += len(failed)
            self._examples += [f"{group.prompt.id}: {grade.reason or 'no reason given'}" for grade in failed]
        self._examples = self._examples[-SHOWN:]
        if self._graded >= BUDGET_SAMPLES:
            self.settle()

    def settle(self) -> None:
        """Judges what was spent so far, however little was graded.

        Raises:
            GraderError: more than the budget's share could not be scored.
        """
        if self._failed > BUDGET_SHARE * self._graded:
            shown = "\n".join(f"  - {example}" for example in self._examples)
            raise GraderError(
                f"the grader could not score {self._failed} of {self._graded} answers, more than {BUDGET_SHARE:.0%}. "
                f"Unscorable answers teach nothing, so mend the grader first. The last ones, by prompt:\n{shown}"
            )

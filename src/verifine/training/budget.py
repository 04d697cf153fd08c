"""How many answers a grader may fail to score before the run ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verifine.errors import GraderError
from verifine.types import Group

BUDGET_SHARE = 0.05
BUDGET_SAMPLES = 200
SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class UnscorableBudget:
    """Ends a run if its grader fails on more than 5 % of at least 200 answers."""

    graded: int = 0
    failed: int = 0
    examples: tuple[str, ...] = ()
    """The last that failed, with their reasons."""

    def spend(self, groups: Sequence[Group]) -> UnscorableBudget:
        """The budget after the grades of `groups`.

        Raises:
            GraderError: the budget is spent; the message shows the last reasons.
        """
        failures = [
            f"{group.prompt.id}: {grade.reason or 'no reason given'}"
            for group in groups
            for grade in group.grades
            if not grade.valid
        ]
        spent = UnscorableBudget(
            graded=self.graded + sum(len(group.grades) for group in groups),
            failed=self.failed + len(failures),
            examples=(*self.examples, *failures)[-SHOWN:],
        )
        if spent.graded >= BUDGET_SAMPLES:
            spent.settle()
        return spent

    def settle(self) -> None:
        """Checks the share of failures so far, however little was graded.

        Raises:
            GraderError: more than the allowed share could not be scored.
        """
        if self.failed > BUDGET_SHARE * self.graded:
            shown = "\n".join(f"  - {example}" for example in self.examples)
            raise GraderError(
                f"the grader could not score {self.failed} of {self.graded} answers, more than {BUDGET_SHARE:.0%}. "
                f"Unscorable answers teach nothing, so fix the grader first. The last ones, by prompt:\n{shown}"
            )

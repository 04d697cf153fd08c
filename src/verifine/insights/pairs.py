"""Two evaluations side by side: which problems were won, which were lost, and whether that can be chance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from verifine.insights.held_out import Interval, over_problems
from verifine.insights.inference import Conclusion, conclude, paired_test
from verifine.runs.evaluations import EvaluatedProblem, EvaluatedSample, Evaluation, Measure, decisive
from verifine.types import Json


class ProblemChange(StrEnum):
    """What became of a problem."""

    WON = "won"
    LOST = "lost"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemPair:
    """The same problem, answered before and after training."""

    before: EvaluatedSample
    """Of several answers the one that is most like their average; likewise `after`."""
    after: EvaluatedSample
    difference: float
    """How much more the answers after are worth than those before, on average."""

    @property
    def change(self) -> ProblemChange:
        if not self.difference:
            return ProblemChange.SAME
        return ProblemChange.WON if self.difference > 0 else ProblemChange.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Every problem that both evaluations asked and whose answers can be compared, in their order."""

    measure: Measure | None
    """What the answers are compared by; None: there is nothing that both evaluations know."""
    pairs: tuple[ProblemPair, ...]

    def of(self, change: ProblemChange) -> tuple[ProblemPair, ...]:
        return tuple(pair for pair in self.pairs if pair.change is change)

    @property
    def difference(self) -> float | None:
        """After less before, on average; None: there are no pairs."""
        return sum(pair.difference for pair in self.pairs) / len(self.pairs) if self.pairs else None

    @property
    def interval(self) -> Interval | None:
        """Of the difference, by the bootstrap over problems; None: it is not known."""
        return over_problems([pair.difference for pair in self.pairs])

    @property
    def p_value(self) -> float:
        """How often a difference at least this large comes about when nothing has changed."""
        return paired_test([pair.difference for pair in self.pairs])

    @property
    def conclusion(self) -> Conclusion:
        """By the test alone: the interval says how large the difference may be."""
        difference = self.difference
        return Conclusion.NOT_COMPARED if difference is None else conclude(difference, self.p_value)

    def examples(self, count: int = 4) -> tuple[ProblemPair, ...]:
        """The first problems that were won, and one that was lost if any was; the rest fill up."""
        lost = self.of(ProblemChange.LOST)[:1]
        won = self.of(ProblemChange.WON)[: count - len(lost)]
        rest = [pair for pair in self.pairs if pair not in won and pair not in lost]
        return (*won, *lost, *rest[: max(0, 2 - len(won) - len(lost))])

    def numbers(self) -> dict[str, Json]:
        """The verdict, for programs; null where nothing could be compared."""
        interval = self.interval
        return {
            "conclusion": self.conclusion.value,
            "measure": self.measure,
            "difference": self.difference,
            "interval": None if interval is None else list(interval),
            "p_value": self.p_value if self.pairs else None,
            "problems": len(self.pairs),
            "won": len(self.of(ProblemChange.WON)),
            "lost": len(self.of(ProblemChange.LOST)),
        }


def pair_up(before: Evaluation, after: Evaluation) -> Pairing:
    """By the problems' ids. Answers that nobody could judge or score are left out of their problem's average."""
    measure = decisive(before, after)
    if measure is None:
        return Pairing(measure=None, pairs=())
    earlier = {problem.prompt_id: problem for problem in before.problems}
    asked = [(earlier[problem.prompt_id], problem) for problem in after.problems if problem.prompt_id in earlier]
    pairs = (_pair(old, new, measure) for old, new in asked)
    return Pairing(measure=measure, pairs=tuple(pair for pair in pairs if pair is not None))


def _pair(old: EvaluatedProblem, new: EvaluatedProblem, measure: Measure) -> ProblemPair | None:
    """None: the answers of one of them are not known to be worth anything."""
    before, after = old.average(measure), new.average(measure)
    if before is None or after is None:
        return None
    return ProblemPair(before=old.typical(measure), after=new.typical(measure), difference=after - before)

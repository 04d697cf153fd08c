"""Two evaluations side by side: which problems got better, which got worse, and whether that can be chance."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from verifine.insights.held_out import Interval, over_problems
from verifine.insights.inference import Conclusion, conclude, paired_test
from verifine.runs.evaluations import EvaluatedProblem, EvaluatedSample, Evaluation, Measure, decisive
from verifine.types import Json


class ProblemChange(StrEnum):
    """How the answers to a problem changed."""

    WON = "won"
    LOST = "lost"
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemPair:
    """The same problem, answered before and after training."""

    before: EvaluatedSample
    """The answer closest to the average of all answers; likewise `after`."""
    after: EvaluatedSample
    difference: float
    """The average value of the answers after, minus that of those before."""

    @property
    def change(self) -> ProblemChange:
        if not self.difference:
            return ProblemChange.SAME
        return ProblemChange.WON if self.difference > 0 else ProblemChange.LOST


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Every problem that is in both evaluations and has comparable answers, in their order."""

    measure: Measure | None
    """The measure to compare; None: the evaluations have no measure in common."""
    pairs: tuple[ProblemPair, ...]

    def of(self, change: ProblemChange) -> tuple[ProblemPair, ...]:
        return tuple(pair for pair in self.pairs if pair.change is change)

    @property
    def difference(self) -> float | None:
        """After minus before, on average; None: there are no pairs."""
        return sum(pair.difference for pair in self.pairs) / len(self.pairs) if self.pairs else None

    @property
    def interval(self) -> Interval | None:
        """The interval of the difference, by the bootstrap over problems; None: it is not known."""
        return over_problems([pair.difference for pair in self.pairs])

    @property
    def p_value(self) -> float:
        """The probability of a difference at least this large if nothing has changed."""
        return paired_test([pair.difference for pair in self.pairs])

    @property
    def conclusion(self) -> Conclusion:
        """By the test alone; the interval says how large the difference may be."""
        difference = self.difference
        return Conclusion.NOT_COMPARED if difference is None else conclude(difference, self.p_value)

    def examples(self, count: int = 4) -> tuple[ProblemPair, ...]:
        """The first problems that got better, one that got worse if there is any, and others to fill up."""
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
    """Pairs problems by their ids. Answers without a judgement or score are left out of their problem's average."""
    measure = decisive(before, after)
    if measure is None:
        return Pairing(measure=None, pairs=())
    earlier = {problem.prompt_id: problem for problem in before.problems}
    asked = [(earlier[problem.prompt_id], problem) for problem in after.problems if problem.prompt_id in earlier]
    pairs = (_pair(old, new, measure) for old, new in asked)
    return Pairing(measure=measure, pairs=tuple(pair for pair in pairs if pair is not None))


def _pair(old: EvaluatedProblem, new: EvaluatedProblem, measure: Measure) -> ProblemPair | None:
    """None: one of them has no answer with a known value."""
    before, after = old.average(measure), new.average(measure)
    if before is None or after is None:
        return None
    return ProblemPair(before=old.typical(measure), after=new.typical(measure), difference=after - before)

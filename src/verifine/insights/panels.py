"""The curves that show how a run went."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.insights.held_out import Interval, interval_of
from verifine.runs.evaluations import Evaluation, Measure
from verifine.runs.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: a metric of the steps, and the same quantity in evaluations."""

    title: str
    metric: str
    measure: Measure | None = None
    """The same quantity in evaluations; None: they do not measure it."""
    is_optional: bool = False
    """Whether it is shown only where a run has it."""

    @property
    def is_share(self) -> bool:
        return self.measure in ("answer", "format")

    def evaluated(self, evaluation: Evaluation) -> float | None:
        """The value in an evaluation; None: it does not measure that, or could not judge it."""
        return None if self.measure is None else evaluation.average(self.measure)

    def interval(self, evaluation: Evaluation) -> Interval | None:
        """The interval of that value."""
        return None if self.measure is None else interval_of(evaluation, self.measure)

    def is_judged(self, record: RunRecord) -> bool:
        """Whether the run has any value of it."""
        evaluated = (self.evaluated(evaluation) for _, evaluation in record.evaluations)
        return any(value is not None for value in (*record.series(self.metric), *evaluated))


REWARD = Panel(title="Average reward", metric="reward", measure="reward")
LENGTH = Panel(title="Response length (tokens)", metric="completions/mean_length")
THOUGHT = Panel(title="Thought (tokens)", metric="completions/reasoning_tokens", is_optional=True)
FORMAT = Panel(title="Format accuracy", metric="format_accuracy", measure="format", is_optional=True)
ANSWER = Panel(title="Answer accuracy", metric="answer_accuracy", measure="answer", is_optional=True)
PANELS = (REWARD, LENGTH, THOUGHT, FORMAT, ANSWER)

"""The four curves that tell how a run went."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.runs.evaluation import Evaluation, Judgement
from verifine.runs.record import RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One chart: a metric of the steps, and what evaluations say of the same thing."""

    title: str
    metric: str
    judgement: Judgement | None = None
    """The accuracy that evaluations have of it; None: not an accuracy."""

    def evaluated(self, evaluation: Evaluation) -> float | None:
        """What an evaluation found; None: it does not look at that."""
        if self.judgement == "answer":
            return evaluation.answer_accuracy
        if self.judgement == "format":
            return evaluation.format_accuracy
        return evaluation.reward if self.metric == "reward" else None

    def is_judged(self, record: RunRecord) -> bool:
        """Whether the run says anything about it."""
        evaluated = (self.evaluated(evaluation) for _, evaluation in record.evaluations)
        return any(value is not None for value in (*record.series(self.metric), *evaluated))


REWARD = Panel(title="Average reward", metric="reward")
LENGTH = Panel(title="Response length (tokens)", metric="completions/mean_length")
FORMAT = Panel(title="Format accuracy", metric="format_accuracy", judgement="format")
ANSWER = Panel(title="Answer accuracy", metric="answer_accuracy", judgement="answer")
PANELS = (REWARD, LENGTH, FORMAT, ANSWER)

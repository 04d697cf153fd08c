"""Held-out results before and now, and the training reward for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.insights.inference import bootstrap_interval
from verifine.runs.evaluations import DECISIVE, Evaluation, Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutChange:
    """The change of an average over the problems that are in both evaluations."""

    before: float
    after: float
    low: float
    """The lower end of the difference's 95 % interval, by the bootstrap over problems; `high` is the upper end."""
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutChanges:
    """The latest evaluation compared with the first."""

    changes: Mapping[Measure, HeldOutChange]
    """By the measure that both of them have."""
    training_reward: float | None
    """The average reward of the training steps just before the latest; None: too few steps."""

    @property
    def second(self) -> HeldOutChange | None:
        """The change by the second grader: of right answers if it judges them. None: there is no second grader."""
        return self.changes.get("second_answer") or self.changes.get("second_score")


def compare_held_out(before: Evaluation, after: Evaluation, training_reward: float | None) -> HeldOutChanges:
    """Problem by problem; those that only one of them asked, judged or scored are left out."""
    changes = {measure: change for measure in DECISIVE if (change := _change(before, after, measure)) is not None}
    return HeldOutChanges(changes=changes, training_reward=training_reward)


def _change(before: Evaluation, after: Evaluation, measure: Measure) -> HeldOutChange | None:
    earlier = {problem.prompt_id: problem.average(measure) for problem in before.problems}
    pairs = [
        (old, new)
        for problem in after.problems
        if (old := earlier.get(problem.prompt_id)) is not None and (new := problem.average(measure)) is not None
    ]
    if not pairs:
        return None
    low, high = bootstrap_interval([new - old for old, new in pairs])
    old_mean, new_mean = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    return HeldOutChange(before=old_mean, after=new_mean, low=low, high=high)

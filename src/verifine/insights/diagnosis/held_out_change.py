"""Held-out problems before and now, beside what training says of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.insights.inference import bootstrap_interval
from verifine.runs.evaluations import DECISIVE, Evaluation, Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutChange:
    """How an average over the problems that both evaluations asked has changed."""

    before: float
    after: float
    low: float
    """The 95 % interval of the difference, by the bootstrap over problems, up to `high`."""
    high: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutChanges:
    """The latest evaluation beside the first."""

    changes: Mapping[Measure, HeldOutChange]
    """By what both of them know."""
    training_reward: float | None
    """The average reward of the training steps just before the latest; None: too few steps."""

    @property
    def second(self) -> HeldOutChange | None:
        """By the second grader, right answers if it judges them; None: there is no second grader."""
        return self.changes.get("second_answer") or self.changes.get("second_score")


def compare_held_out(before: Evaluation, after: Evaluation, training_reward: float | None) -> HeldOutChanges:
    """Problem by problem: what only one of them asked, judged or scored is left out."""
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

"""Which evaluation of a run is the best so far, and whether it is time to stop."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.runs.evaluations import Evaluation, Measure, decisive


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """What the evaluations of a run found. The one before training counts: the best weights may be those it began with.

    A checkpoint holds it, so that a run that goes on stops and chooses as it would have.
    """

    measure: Measure | None = None
    """What evaluations are compared by, decided by the first one; None: there has not been one that could be scored."""
    results: tuple[tuple[int, float], ...] = ()
    """The steps before each evaluation that could be scored, and what it found."""

    def note(self, evaluation: Evaluation, step: int) -> Best:
        """With one more evaluation, after `step` steps.

        One that could not be scored says nothing and is not counted: a judge that is away for a while must not end a
        run.
        """
        measure = self.measure or decisive(evaluation)
        value = None if measure is None else evaluation.average(measure)
        return self if value is None else Best(measure=measure, results=(*self.results, (step, value)))

    @property
    def step(self) -> int | None:
        """Of the best evaluation; of equals the earliest. None: there is none."""
        return max(self.results, key=lambda result: (result[1], -result[0]))[0] if self.results else None

    @property
    def scores(self) -> dict[int, float]:
        """What was found, by step."""
        return dict(self.results)

    def is_over(self, patience: int | None) -> bool:
        """Whether the last `patience` evaluations have all brought nothing better; None: it is never over."""
        return patience is not None and sum(step > (self.step or 0) for step, _ in self.results) >= patience

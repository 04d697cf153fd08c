"""Which evaluation of a run is the best so far, and whether it is time to stop."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.runs.evaluations import Evaluation, Measure, decisive


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The results of a run's evaluations. The one before training counts: the best weights may be the first ones.

    A checkpoint holds it, so that a resumed run stops and chooses as an uninterrupted one would.
    """

    measure: Measure | None = None
    """What evaluations are compared by, decided by the first one; None: none could be scored so far."""
    results: tuple[tuple[int, float], ...] = ()
    """The step and the result of each evaluation that could be scored."""

    def note(self, evaluation: Evaluation, step: int) -> Best:
        """The results with one more evaluation, after `step` steps.

        One that could not be scored is not counted: a judge that cannot be reached for a while must not end a run.
        """
        measure = self.measure or decisive(evaluation)
        value = None if measure is None else evaluation.average(measure)
        return self if value is None else Best(measure=measure, results=(*self.results, (step, value)))

    @property
    def step(self) -> int | None:
        """The step of the best evaluation, the earliest of equal ones. None: there is none."""
        return self.ranking[0] if self.results else None

    @property
    def ranking(self) -> list[int]:
        """The steps of the evaluations, the best first; of equal ones the earliest first."""
        return [step for step, _ in sorted(self.results, key=lambda result: (-result[1], result[0]))]

    @property
    def scores(self) -> dict[int, float]:
        """The results by step."""
        return dict(self.results)

    def is_over(self, patience: int | None) -> bool:
        """Whether none of the last `patience` evaluations was better than the best before; with None, never."""
        return patience is not None and sum(step > (self.step or 0) for step, _ in self.results) >= patience

"""How good the weights of each step are, by the run's evaluations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from pydantic.dataclasses import dataclass

from verifine.runs.evaluations import DECISIVE, NAMES, Measure, step_of_name
from verifine.runs.events import EvaluationDone, ModelSaved, RunEvent

FINAL = "final"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutResult:
    """An evaluation that could be scored."""

    step: int
    value: float
    """By the measure that decides."""
    reward: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutResults:
    """What evaluations have shown so far, compared as the run compares them."""

    measure: Measure | None = None
    """None: none could be scored."""
    results: tuple[HeldOutResult, ...] = ()
    model_step: int | None = None
    """The step of the model that was saved last; None: none was."""

    def note(self, event: RunEvent) -> HeldOutResults:
        match event:
            case ModelSaved(step=step):
                return replace(self, model_step=step)
            case EvaluationDone(name=name, numbers=numbers):
                return self._note(self.model_step if name == FINAL else step_of_name(name), numbers)
        return self

    def best(self, steps: Collection[int], count: int) -> list[HeldOutResult]:
        """The best of these steps; of equal ones the earlier."""
        scored = [each for each in self.results if each.step in steps]
        return sorted(scored, key=lambda each: (-each.value, each.step))[:count]

    def _note(self, step: int | None, numbers: Mapping[str, Any]) -> HeldOutResults:
        measure = self.measure or next((each for each in DECISIVE if numbers.get(NAMES[each]) is not None), None)
        value = None if measure is None else numbers.get(NAMES[measure])
        # Without a saved model, `final` repeats the evaluation of the weights that were chosen.
        if step is None or value is None:
            return self
        result = HeldOutResult(step=step, value=value, reward=numbers.get(NAMES["reward"]))
        others = tuple(each for each in self.results if each.step != step)
        return replace(self, measure=measure, results=(*others, result))

"""What every grader is, and the one made from a Python callable."""

from __future__ import annotations

import copy
import math
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from verifine.graders.sample import sample_fields
from verifine.graders.scores import grade_from
from verifine.types import Grade, GradeFault, Sample


class Grader(Protocol):
    """Scores answers.

    A sample that cannot be scored gets an unscorable grade; GraderError is raised only for a grader that cannot be
    used at all, and then when it is built.
    """

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        """One grade a sample, in the order of the samples."""
        ...

    def close(self) -> None:
        """Give back what the grader holds, such as the sandbox's processes."""
        ...


GradeFunction = Callable[[dict[str, Any], dict[str, Any]], float | Grade]
"""`f(sample, item)`: sample holds what `sample_fields` gives, item the further fields of the row."""


class CallableGrader:
    """A grader from a Python callable, called in this process and without a time limit."""

    def __init__(self, function: GradeFunction, *, name: str = "callable") -> None:
        self._function = function
        self._name = name

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade_one(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade_one(self, sample: Sample) -> Grade:
        started = time.perf_counter()
        try:
            # The item is shared by the whole group: what one call does to its own must not reach the next.
            item = copy.deepcopy(dict(sample.item))
            value: object = self._function(sample_fields(sample), item)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may raise anything
            reason, seconds = traceback.format_exception_only(error)[-1].strip(), time.perf_counter() - started
            return Grade.unscorable(reason, GradeFault.PYTHON_RUNTIME, seconds)
        seconds = time.perf_counter() - started
        if not isinstance(value, Grade):
            return grade_from(value, name=self._name, seconds=seconds)
        if value.score is None or math.isfinite(value.score):
            return value if value.seconds else replace(value, seconds=seconds)
        reason = f"grade returned a Grade with the score {value.score}, which is not finite"
        return Grade.unscorable(reason, GradeFault.PYTHON_RUNTIME, seconds)

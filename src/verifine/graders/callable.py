"""A grader made from a Python function."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from verifine.graders.grader import Grader, PerSampleGrader
from verifine.graders.returned import grade_from
from verifine.graders.sample import sample_fields
from verifine.types import Grade, GradeFault, Sample

GradeFunction = Callable[[dict[str, Any], dict[str, Any]], float | Grade]
"""`f(sample, item)`: sample holds what `sample_fields` gives, item the further fields of the row."""


def callable_grader(function: GradeFunction, *, name: str = "callable") -> Grader:
    """A grader that calls the function in this process, without a time limit."""
    return PerSampleGrader(partial(_call, function, name), is_timed=True)


def _call(function: GradeFunction, name: str, sample: Sample) -> Grade:
    try:
        # The whole group shares the item, so each call gets a copy: a change by one call must not reach the next.
        value: object = function(sample_fields(sample), copy.deepcopy(dict(sample.item)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's function may raise anything
        return Grade.unscorable(traceback.format_exception_only(error)[-1].strip(), GradeFault.PYTHON_RUNTIME)
    return value if isinstance(value, Grade) else grade_from(value, name=name)

"""What is to be found out about a grader, by a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.config.graders import GraderConfig
from verifine.graders.result import GraderResult, describe_grade
from verifine.service.child import ChildError, ChildLimits, Children
from verifine.types import Grade, GradeFault

GRADING = "verifine.service.trials.grading"
LIMITS = ChildLimits(wall_s=120.0, memory_bytes=4 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderTrial:
    """A grader, and an answer for it."""

    grader: GraderConfig
    sample: str | None
    """None: only the grader itself is looked at."""
    item: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What was found."""

    problem: str | None = None
    """Why the grader cannot be used; None: it can."""
    result: GraderResult | None = None
    """None: there was no answer to grade."""


TRIAL, OUTCOME = TypeAdapter(GraderTrial), TypeAdapter(TrialOutcome)


def try_grader_in_child(children: Children, trial: GraderTrial, limits: ChildLimits = LIMITS) -> TrialOutcome:
    """Grading that takes too long is a result too.

    Raises:
        ChildError: the process failed.
    """
    try:
        return OUTCOME.validate_json(children.ask(GRADING, TRIAL.dump_json(trial), limits))
    except ChildError as error:
        if not error.is_late:
            raise
        if trial.sample is None:
            return TrialOutcome(problem=f"the grader could not be built: {error}")
        grade = Grade.unscorable(str(error), GradeFault.UNRESPONSIVE_REWARD, limits.wall_s)
        return TrialOutcome(result=describe_grade(trial.grader, grade, limits.wall_s))

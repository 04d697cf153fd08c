"""What every grader is, and how samples are graded: one at a time, or many together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from verifine.errors import GraderError
from verifine.graders.sample_error import SampleError
from verifine.types import Grade, Sample

Task = TypeVar("Task")


class Grader(Protocol):
    """Scores answers.

    A sample that cannot be scored gets an unscorable grade. GraderError is raised only when a grader is built, and
    says that it cannot be used at all.
    """

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        """One grade a sample, in the order of the samples."""
        ...

    def close(self) -> None:
        """Give back what the grader holds, such as the sandbox's processes."""
        ...


class PerSampleGrader:
    """A grader that looks at one sample at a time and holds nothing."""

    def __init__(self, grade_one: Callable[[Sample], Grade], *, is_timed: bool = False) -> None:
        """`grade_one` may raise SampleError. `is_timed`: grading takes long enough to be worth measuring."""
        self._grade_one = grade_one
        self._is_timed = is_timed

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [self._grade(sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade(self, sample: Sample) -> Grade:
        started = time.perf_counter()
        try:
            grade = self._grade_one(sample)
        except SampleError as error:
            grade = error.grade()
        if not self._is_timed or grade.seconds:
            return grade
        return replace(grade, seconds=time.perf_counter() - started)


def grade_together(
    samples: Sequence[Sample],
    read: Callable[[Sample], Task | Grade],
    grade: Callable[[list[Task]], list[Grade]],
) -> list[Grade]:
    """Grades all samples with one call, apart from those whose grade is known already.

    `read` makes a task of a sample, or gives its grade where nothing is left to do; it may raise SampleError. `grade`
    gives the grades of the tasks, in their order.
    """
    found = [_read(sample, read) for sample in samples]
    grades = iter(grade([each for each in found if not isinstance(each, Grade)]))
    return [each if isinstance(each, Grade) else next(grades) for each in found]


def _read(sample: Sample, read: Callable[[Sample], Task | Grade]) -> Task | Grade:
    try:
        return read(sample)
    except SampleError as error:
        return error.grade()


def grade_samples(grader: Grader, samples: Sequence[Sample]) -> list[Grade]:
    """One grade a sample, in their order, each with a finite score or none, and with finite parts.

    All grades enter here, so scores are not tested again later.

    Raises:
        GraderError: the grader gave another number of grades than it was given samples.
    """
    grades = [_with_finite_parts(_with_finite_score(grade)) for grade in grader.grade(samples)]
    if len(grades) != len(samples):
        raise GraderError(
            f"the grader gave {len(grades)} grades for {len(samples)} answers; it must give one for each, in order"
        )
    return grades


def _with_finite_parts(grade: Grade) -> Grade:
    """Without those that are not."""
    if all(map(math.isfinite, grade.parts.values())):
        return grade
    return replace(grade, parts={name: part for name, part in grade.parts.items() if math.isfinite(part)})


def _with_finite_score(grade: Grade) -> Grade:
    if grade.score is None or math.isfinite(grade.score):
        return grade
    reason = f"the grader gave the score {grade.score}, which is not finite"
    return Grade.unscorable(reason, seconds=grade.seconds)

"""Graders made of other graders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from verifine.graders.grader import Grader, grade_samples
from verifine.types import Grade, Sample, TokenUsage


class CombinedGrader:
    """A grader made of others, each with its own name. It combines their grades of an answer."""

    def __init__(self, graders: Mapping[str, Grader], combine: Callable[[Mapping[str, Grade]], Grade]) -> None:
        """`combine` gets the grades of one answer by the names of the parts."""
        self._graders = graders
        self._combine = combine

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [carry(self._combine(parts), parts) for parts in self._grade_parts(samples)]

    def close(self) -> None:
        with ExitStack() as closing:  # the others are closed even if one fails
            for grader in self._graders.values():
                closing.callback(grader.close)

    def _grade_parts(self, samples: Sequence[Sample]) -> list[Mapping[str, Grade]]:
        """The graders work at the same time, in a thread each: some of them wait for judges and sandboxes."""
        with ThreadPoolExecutor(max_workers=len(self._graders)) as threads:
            futures = [threads.submit(grade_samples, grader, samples) for grader in self._graders.values()]
            columns = [future.result() for future in futures]
        return [dict(zip(self._graders, row, strict=True)) for row in zip(*columns, strict=True)]


def scores_of(parts: Mapping[str, Grade]) -> dict[str, float]:
    """The scores of the parts that have one."""
    return {name: grade.score for name, grade in parts.items() if grade.score is not None}


def describe_unscorable(parts: Mapping[str, Grade]) -> str | None:
    """Why some parts have no score; None: all have one."""
    reasons = [f"{name}: {grade.reason}" for name, grade in parts.items() if grade.score is None]
    return "; ".join(reasons) or None


def describe_failed(parts: Mapping[str, Grade]) -> str | None:
    """What went wrong in parts that have a score nevertheless, because the answer lacks something; None: nothing."""
    reasons = [f"{name}: {grade.reason}" for name, grade in parts.items() if grade.score is not None and grade.faults]
    return "; ".join(reasons) or None


def carry(grade: Grade, parts: Mapping[str, Grade]) -> Grade:
    """The grade of the whole with the faults and the tokens of all its parts, and the time of the slowest one."""
    usage: dict[str, TokenUsage] = {}
    for part in parts.values():
        for model, tokens in part.usage.items():
            usage[model] = usage.get(model, TokenUsage()) + tokens
    return replace(
        grade,
        faults=grade.faults.union(*(part.faults for part in parts.values())),
        seconds=max(part.seconds for part in parts.values()),
        usage=usage,
    )

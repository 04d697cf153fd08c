from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from verifine.graders import callable_grader
from verifine.graders.combined import CombinedGrader, carry, describe_failed, describe_unscorable, scores_of
from verifine.types import Grade, GradeFault, Sample, TokenUsage

SAMPLES = [Sample(output_text=text, item={}) for text in ("a", "bb", "ccc")]


class Waiting:
    """Grades only when all who wait at the barrier are there."""

    def __init__(self, barrier: threading.Barrier, score: float) -> None:
        self._barrier = barrier
        self._score = score
        self.calls: list[Sequence[Sample]] = []
        self.closed = 0

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        self.calls.append(samples)
        self._barrier.wait(timeout=30)
        return [Grade(score=self._score + len(sample.output_text)) for sample in samples]

    def close(self) -> None:
        self.closed += 1
        if self._score == 0:
            raise RuntimeError("it cannot be closed")


def first(parts: Mapping[str, Grade]) -> Grade:
    return next(iter(parts.values()))


def test_parts_work_at_the_same_time_and_keep_their_order() -> None:
    barrier = threading.Barrier(3)
    graders = {name: Waiting(barrier, score) for name, score in (("z", 10), ("a", 20), ("m", 30))}
    rows: list[Mapping[str, Grade]] = []

    def combine(parts: Mapping[str, Grade]) -> Grade:
        rows.append(parts)
        return Grade(score=float(len(rows)))

    assert [grade.score for grade in CombinedGrader(graders, combine).grade(SAMPLES)] == [1, 2, 3]
    assert [list(row) for row in rows] == [["z", "a", "m"]] * 3
    assert [[grade.score for grade in row.values()] for row in rows] == [[11, 21, 31], [12, 22, 32], [13, 23, 33]]
    assert [grader.calls for grader in graders.values()] == [[SAMPLES]] * 3


def test_no_samples_have_no_grades() -> None:
    assert CombinedGrader({"a": callable_grader(lambda sample, item: 1.0)}, first).grade([]) == []


def test_a_part_without_a_finite_score_is_unscorable_before_it_is_combined() -> None:
    (grade,) = CombinedGrader({"a": callable_grader(lambda sample, item: float("nan"))}, first).grade(SAMPLES[:1])
    assert grade.score is None


def test_all_are_closed_though_one_cannot_be() -> None:
    barrier = threading.Barrier(1)
    graders = [Waiting(barrier, score) for score in (1, 0, 2)]
    with pytest.raises(RuntimeError, match="cannot be closed"):
        CombinedGrader({str(place): grader for place, grader in enumerate(graders)}, first).close()
    assert [grader.closed for grader in graders] == [1, 1, 1]


RIGHT = Grade(score=1.0, seconds=0.25, usage={"small": TokenUsage(prompt=3, completion=1)})
FAILED = Grade.failed("no JSON", GradeFault.SAMPLE_PARSE)
BROKEN = Grade.unscorable("no reference", GradeFault.INVALID_VARIABLE, seconds=0.5)
JUDGED = Grade(
    score=0.5,
    seconds=0.125,
    usage={"small": TokenUsage(prompt=10, completion=2, cached=4), "large": TokenUsage(prompt=1)},
)


def test_what_went_wrong_is_told_by_the_names_of_the_parts() -> None:
    parts = {"right": RIGHT, "json": FAILED, "row": BROKEN, "again": BROKEN}
    assert scores_of(parts) == {"right": 1.0, "json": 0.0}
    assert describe_unscorable(parts) == "row: no reference; again: no reference"
    assert describe_failed(parts) == "json: no JSON"
    assert describe_unscorable({"right": RIGHT, "json": FAILED}) is None
    assert describe_failed({"right": RIGHT, "row": BROKEN}) is None


def test_the_whole_carries_faults_and_tokens_of_all_parts_and_the_time_of_the_slowest() -> None:
    parts = {"right": RIGHT, "json": FAILED, "row": BROKEN, "judge": JUDGED}
    assert carry(Grade.unscorable("x", GradeFault.FORMULA_PARSE), parts) == Grade(
        score=None,
        reason="x",
        faults=frozenset({GradeFault.FORMULA_PARSE, GradeFault.SAMPLE_PARSE, GradeFault.INVALID_VARIABLE}),
        seconds=0.5,
        usage={"small": TokenUsage(prompt=13, completion=3, cached=4), "large": TokenUsage(prompt=1)},
    )

"""Runs that failed, were killed, or were over before they began; and memory that ran out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.findings import Finding
from verifine.runs.record import RunRecord

Findings = Callable[..., dict[str, Finding]]
MakeRun = Callable[..., RunRecord]

ENDING = {"failed", "killed", "disk_full", "few_updates"}


@pytest.mark.parametrize(
    ("last", "topic"),
    [
        (("finished", {}), None),
        (("failed", {"error": "the grader is gone"}), "failed"),
        (("paused", {}), None),
        (("paused", {"reason": "disk_full", "error": "no space left"}), "disk_full"),
        (("evaluation", {"name": "baseline"}), "killed"),
    ],
)
def test_a_run_is_told_apart_by_its_last_event(findings: Findings, last: object, topic: str | None) -> None:
    found = findings(events=[("started", {}), last])
    assert ENDING & set(found) == ({topic} if topic else set())


def test_a_failure_is_told_in_its_own_words(findings: Findings) -> None:
    found = findings(events=[("failed", {"error": "the grader is gone"})])["failed"]
    assert (found.severity, found.what) == ("problem", "The run failed: the grader is gone")


def test_a_run_that_is_still_going_has_no_ending_to_be_missed(make_run: MakeRun) -> None:
    started: list[tuple[str, dict[str, str]]] = [("started", {})]
    assert not diagnose(make_run(events=started, is_alive=True))
    assert [finding.name for finding in diagnose(make_run(events=started))] == ["killed"]


@pytest.mark.parametrize(
    ("steps", "answers", "is_told"),
    [(19, 0.3, True), (20, 0.3, False)],
)
def test_a_run_of_few_updates_could_not_learn_much(
    findings: Findings, steps: int, answers: object, is_told: bool
) -> None:
    assert ("few_updates" in findings({"answer_accuracy": answers}, steps=steps)) is is_told


def test_few_updates_in_many_steps_are_no_lack_of_time(findings: Findings) -> None:
    assert "few_updates" not in findings(
        {"answer_accuracy": 0.3, "updates": lambda step: float(step % 6 == 0)}, steps=60
    )


def test_a_run_that_ended_as_solved_needs_no_more_updates(findings: Findings) -> None:
    numbers = {"answer_accuracy": 1.0, "updates": 0.0, "frac_reward_zero_std": 1.0}
    assert findings(numbers, steps=3)["few_updates"].remedies == ("Train on harder prompts (data.train).",)
    solved = findings(numbers, steps=20, events=[("started", {}), ("no_signal", {"reason": "solved"})])
    assert list(solved) == ["too_easy"]


@pytest.mark.parametrize(("equal", "severity"), [(1.0, "problem"), (0.5, "note")])
def test_a_run_in_which_nothing_could_be_learned_is_told_apart_from_a_short_one(
    findings: Findings, equal: float, severity: str
) -> None:
    numbers = {"answer_accuracy": 0.0, "updates": 0.0, "frac_reward_zero_std": equal}
    found = findings(numbers, steps=3)["few_updates"]
    assert found.severity == severity
    assert ("data.train" in str(found.remedies)) is (severity == "problem")


@pytest.mark.parametrize(("oom_counter", "is_told"), [(1.0, True), (0.0, False)])
def test_memory_that_ran_out_is_a_note_with_the_size_that_fits(
    findings: Findings, oom_counter: float, is_told: bool
) -> None:
    found = findings({"memory/shortages": oom_counter})
    assert ("memory_shortages" in found) is is_told
    if is_told:
        assert found["memory_shortages"].severity == "note"
        assert "optim.micro_batch_tokens to 512" in found["memory_shortages"].remedies[0]

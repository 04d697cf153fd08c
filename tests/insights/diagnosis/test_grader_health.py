"""Graders that fail, take too long or cannot read the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]

GRADING = {"unscorable_answers", "grader_timeouts", "grader_faults", "slow_grading"}

# 8 prompts x 8 answers a step.


@pytest.mark.parametrize(
    ("numbers", "topics"),
    [
        ({"unscorable": 2.0, "grader/error_rate": 2 / 64}, {"unscorable_answers"}),
        ({"unscorable": 1.0, "grader/error_rate": 1 / 64}, set()),
        ({"grader/timeout_rate": 0.02, "grader/error_rate": 0.02}, {"grader_timeouts"}),
        ({"grader/timeout_rate": 0.01, "grader/error_rate": 0.01}, set()),
        ({"grader/error_rate": 0.1}, {"grader_faults"}),
        ({"grader/error_rate": 0.09}, set()),
        ({"grader/error_rate": 0.12, "unscorable": 3.0}, {"unscorable_answers"}),
        ({"timing/grade_s": 2.5}, {"slow_grading"}),
        ({"timing/grade_s": 2.4}, set()),
    ],
    ids=[
        "3 % unscorable",
        "2 % unscorable, nearly",
        "2 % too slow",
        "1 % too slow",
        "10 % unreadable",
        "9 % unreadable",
        "errors that are mostly something else",
        "half of the time",
        "less than half",
    ],
)
def test_what_is_wrong_with_grading_is_told_by_its_kind(
    findings: Findings, numbers: Mapping[str, float], topics: set[str]
) -> None:
    assert GRADING & set(findings(numbers)) == topics


@pytest.mark.parametrize(("unscorable", "severity"), [(3.0, "warning"), (4.0, "problem")])
def test_a_run_that_will_end_for_it_is_a_problem(findings: Findings, unscorable: float, severity: str) -> None:
    assert findings({"unscorable": unscorable})["unscorable_answers"].severity == severity


def test_two_steps_of_sixty_four_answers_are_enough_for_shares_of_a_few_percent(findings: Findings) -> None:
    assert "unscorable_answers" in findings({"unscorable": 10.0}, steps=2)
    assert "unscorable_answers" not in findings({"unscorable": 10.0}, steps=1)


def test_answers_of_every_round_count(findings: Findings) -> None:
    assert "unscorable_answers" in findings({"unscorable": 2.0, "groups/answers": 12.0})
    assert "unscorable_answers" not in findings({"unscorable": 2.0, "groups/answers": 13.0})


def test_answers_to_prompts_that_were_sampled_again_count(findings: Findings) -> None:
    """2 of 64 are told, 2 of 128 are not."""
    again = {"unscorable": 2.0, "groups/resampled": 8.0}
    assert "unscorable_answers" not in findings(again, sections={"algorithm": {"name": "dapo"}})


def test_who_is_asked_decides_what_makes_grading_faster(findings: Findings) -> None:
    slow = {"timing/grade_s": 4.0}
    assert "one for each core" in findings(slow)["slow_grading"].remedies[0]
    grading = {"workers": 2, "judge": {"base_url": "http://127.0.0.1:8000/v1", "max_concurrency": 4}}
    changes = findings(slow, sections={"grading": grading})["slow_grading"].remedies
    assert "grading.judge.max_concurrency from 4 to 8" in changes[0]
    assert changes[1] == "Raise grading.workers from 2 to 4."

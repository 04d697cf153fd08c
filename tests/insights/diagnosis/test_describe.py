"""Findings as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from verifine.insights.diagnosis.describe import (
    describe_evidence,
    describe_finding,
    describe_health,
    describe_steps,
    describe_vitals,
)
from verifine.insights.diagnosis.diagnose import diagnosis_numbers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def finding(
    evidence: Mapping[str, float] = {}, severity: Severity = Severity.WARNING, found: str = "It stands still."
) -> Finding:
    return Finding(
        name=Topic.MISMATCH,
        severity=severity,
        what=found,
        numbers=evidence,
        steps=(31, 50),
        remedies=("Set this to 1.", "Set that to 2."),
    )


def test_a_finding_is_a_line_its_numbers_and_a_line_for_each_change() -> None:
    assert describe_finding(finding({"entropy": 0.5})).splitlines() == [
        "! mismatch: It stands still.",
        "    entropy 0.5 (steps 31 to 50)",
        "    → Set this to 1.",
        "    → Set that to 2.",
    ]


def test_long_lines_are_wrapped_and_indented() -> None:
    lines = describe_finding(finding({}, found="word " * 40), width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("  word")


def test_a_line_break_in_an_error_is_kept_and_half_a_surrogate_does_no_harm() -> None:
    text = describe_finding(finding({}, found="one\n  two \ud800"))
    assert text.splitlines()[:2] == ["! mismatch: one", "  two ?"]
    text.encode()


def test_numbers_stand_beside_what_they_were() -> None:
    numbers = {"entropy": 0.04, "entropy_at_first": 1.271, "answer_accuracy": 0.67, "answer_accuracy_at_best": 0.9}
    assert describe_evidence(finding(numbers)) == "entropy 1.27 → 0.04, answer_accuracy 90% → 67%"
    all_three = {"reward": 0.2, "reward_at_best": 0.8, "reward_at_first": 0.3}
    assert describe_evidence(finding(all_three)) == "reward 0.3 → 0.8 → 0.2"


@pytest.mark.parametrize(("steps", "text"), [((0, 0), "no step yet"), ((7, 7), "step 7"), ((31, 50), "steps 31 to 50")])
def test_steps_are_named(steps: tuple[int, int], text: str) -> None:
    assert describe_steps(steps) == text


@pytest.mark.parametrize(
    ("severities", "steps", "text"),
    [
        ([], 50, "Nothing stands out in 50 steps."),
        ([], 0, "No step is done yet."),
        ([Severity.PROBLEM], 1, "1 problem in 1 step."),
        ([Severity.NOTE, Severity.WARNING, Severity.WARNING], 9, "2 warnings and 1 note in 9 steps."),
    ],
)
def test_all_findings_come_to_one_sentence(severities: list[Severity], steps: int, text: str) -> None:
    assert describe_health([finding(severity=severity) for severity in severities], steps) == text


def test_the_numbers_that_tell_how_a_run_does_are_told_for_its_beginning_and_its_end(make_run: MakeRun) -> None:
    lines = describe_vitals(make_run({"reward": lambda step: step / 60, "kl": None})).splitlines()
    assert lines[0].split() == ["steps", "1", "to", "10", "steps", "41", "to", "60"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    # The means of 1 to 10 and of 41 to 60, over 60.
    assert rows["reward"] == ["0.0917", "0.842"]
    assert rows["grader/error_rate"] == ["0%", "0%"]
    assert "kl" not in rows
    assert describe_vitals(make_run(steps=0)) == ""


def test_programs_get_the_same_as_plain_values() -> None:
    told = json.loads(json.dumps(diagnosis_numbers([finding({"entropy": 0.5})], 50), allow_nan=False))
    assert told == {
        "steps": 50,
        "findings": [
            {
                "name": "mismatch",
                "severity": "warning",
                "what": "It stands still.",
                "evidence": "",
                "numbers": {"entropy": 0.5},
                "steps": [31, 50],
                "remedies": ["Set this to 1.", "Set that to 2."],
            }
        ],
    }

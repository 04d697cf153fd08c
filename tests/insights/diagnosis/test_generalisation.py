"""Held-out problems against training, and one grader against another."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.diagnosis.held_out_change import compare_held_out
from verifine.insights.findings import Finding
from verifine.runs.evaluations import EvaluatedSample, Evaluation

Findings = Callable[..., dict[str, Finding]]

RISING = {"reward": lambda step: 0.3 + 0.5 * min(1.0, step / 40)}
"""From 0.36 on average over the first ten steps to 0.8 over the last twenty."""


def evaluation(name: str, scores: str, seconds: str | None = None) -> Evaluation:
    """A digit a problem: tenths, of the training grader's score and of the second grader's."""
    samples = tuple(
        EvaluatedSample(
            prompt_id=f"held-out/{number}",
            prompt="",
            text="",
            score=int(digit) / 9,
            format_ok=None,
            answer_ok=None,
            second_score=None if seconds is None else int(seconds[number]) / 9,
        )
        for number, digit in enumerate(scores)
    )
    return Evaluation(name=name, samples=samples)


def pair(before: str, after: str, *seconds: str) -> list[tuple[int, Evaluation]]:
    old, new = seconds or (None, None)
    return [(0, evaluation("baseline", before, old)), (60, evaluation("final", after, new))]


LOW, MIDDLE, HIGH = "0" * 20 + "9" * 12, "0" * 14 + "9" * 18, "0" * 6 + "9" * 26
"""0.375, 0.5625 and 0.8125 of 32 problems."""


@pytest.mark.parametrize(
    ("before", "after", "topic"),
    [
        (LOW, HIGH, None),
        (LOW, LOW, "held_out_lags"),
        (MIDDLE, LOW, "held_out_falls"),
        (HIGH, HIGH, None),
    ],
    ids=["rises with it", "stays", "falls", "was as good greedily"],
)
def test_held_out_problems_are_held_against_training(
    findings: Findings, before: str, after: str, topic: str | None
) -> None:
    found = findings(RISING, evaluations=pair(before, after))
    assert {"held_out_lags", "held_out_falls"} & set(found) == ({topic} if topic else set())


def test_the_gap_is_told_with_both_sides_of_it(findings: Findings) -> None:
    found = findings(RISING, evaluations=pair(MIDDLE, LOW))["held_out_falls"]
    assert found.severity == "problem"
    assert "fell from 0.56 to 0.38 while the training reward went from 0.37 to 0.80" in found.what
    assert found.numbers["held_out_reward"] == pytest.approx(0.375)
    assert found.numbers["reward_at_first"] == pytest.approx(0.3 + 0.5 * 5.5 / 40)


def test_a_run_whose_training_did_not_rise_says_nothing_of_generalising(findings: Findings) -> None:
    assert "held_out_lags" not in findings({"reward": 0.8}, evaluations=pair(LOW, LOW))


def test_an_evaluation_before_there_are_steps_to_speak_of_says_nothing(findings: Findings) -> None:
    early = [(0, evaluation("baseline", MIDDLE)), (20, evaluation("step-20", LOW))]
    assert "held_out_falls" not in findings(RISING, evaluations=early)


@pytest.mark.parametrize(("second_after", "severity"), [(LOW, "warning"), (HIGH, None), ("0" * 32, "problem")])
def test_a_second_grader_that_sees_no_gain_is_told(findings: Findings, second_after: str, severity: str | None) -> None:
    found = findings(RISING, evaluations=pair(LOW, HIGH, LOW, second_after)).get("graders_disagree")
    assert (None if found is None else found.severity.value) == severity
    if found is not None:
        assert found.numbers["held_out_second_at_first"] == pytest.approx(0.375)


def test_a_second_grader_is_not_asked_where_the_first_sees_no_gain(findings: Findings) -> None:
    assert "graders_disagree" not in findings(RISING, evaluations=pair(LOW, LOW, HIGH, LOW))


def test_problems_are_compared_by_their_ids_and_what_only_one_evaluation_has_is_left_out() -> None:
    before, after = evaluation("baseline", "990"), evaluation("final", "0999")
    change = compare_held_out(before, after, None).changes["reward"]
    assert [change.before, change.after] == pytest.approx([2 / 3, 2 / 3])
    assert change.low < 0 < change.high
    assert compare_held_out(before, after, None).second is None


def test_right_answers_by_the_second_grader_count_before_its_score() -> None:
    samples = [
        EvaluatedSample(
            prompt_id="a",
            prompt="",
            text="",
            score=1,
            format_ok=None,
            answer_ok=None,
            second_score=second,
            second_answer_ok=is_right,
        )
        for second, is_right in ((0.2, False), (0.1, True))
    ]
    before, after = (Evaluation(name=name, samples=(each,)) for name, each in zip("ab", samples, strict=True))
    second = compare_held_out(before, after, None).second
    assert second is not None
    assert second.difference == 1

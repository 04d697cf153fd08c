from __future__ import annotations

from dataclasses import replace

import pytest

from verifine.insights.findings import Finding, Severity
from verifine.insights.scores import Scores, collect_scores
from verifine.preflight.grading import GradingFacts, Repetition, Requests, changes, judge_grading
from verifine.preflight.rows import RowFault, RowFaults
from verifine.types import Grade


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def scores(mean: float) -> Scores:
    return collect_scores([Grade(score=mean)] * 16)


def faults(count: int, rows: int = 100) -> RowFaults:
    return RowFaults(rows=rows, count=count, first=(RowFault(place="x.jsonl line 3", reason="item.a is missing"),))


def test_a_grader_that_knows_right_from_wrong_gives_nothing_to_say(grading: GradingFacts) -> None:
    assert judge_grading(grading) == []


@pytest.mark.parametrize(("rows", "severity"), [(5, Severity.WARNING), (6, Severity.BLOCKER)])
def test_rows_that_cannot_be_graded_block_where_they_would_end_the_run(
    rows: int, severity: Severity, grading: GradingFacts
) -> None:
    found = only(judge_grading(replace(grading, incomplete=faults(rows))))
    assert (found.severity, found.name) == (severity, "incomplete_rows")
    assert found.evidence.startswith("x.jsonl line 3: item.a is missing\n")


def test_rows_whose_right_answer_is_lost_are_a_warning(grading: GradingFacts) -> None:
    found = only(judge_grading(replace(grading, disputed=faults(7))))
    assert (found.severity, found.name) == (Severity.WARNING, "disputed_rows")
    assert found.what == "The right answer to 7 of 100 rows scores no higher than nonsense."


def test_where_no_right_answer_stands_out_the_rows_are_not_to_blame(grading: GradingFacts) -> None:
    assert judge_grading(replace(grading, disputed=faults(100))) == []


def test_a_grader_that_can_score_nothing_is_a_blocker_with_its_reasons(grading: GradingFacts) -> None:
    broken = collect_scores([Grade.unscorable("no server")] * 40)
    found = only(judge_grading(replace(grading, every=broken, right=broken, empty=broken, nonsense=broken)))
    assert (found.severity, found.name) == (Severity.BLOCKER, "nothing_scorable")
    assert found.evidence == "40 answers:\nno server (40 times)"


def test_a_grader_that_refuses_what_is_no_answer_may_take_the_models_answers(grading: GradingFacts) -> None:
    broken = collect_scores([Grade.unscorable("no table")] * 8)
    facts = replace(grading, every=broken, right=None, untried="no reference", empty=broken, nonsense=broken)
    assert [(each.severity, each.name) for each in judge_grading(facts)] == [
        (Severity.WARNING, "nothing_scorable"),
        (Severity.NOTE, "right_answer_untried"),
    ]


def test_a_right_answer_is_recognised_where_it_has_to_be_and_stands_out(grading: GradingFacts) -> None:
    assert replace(grading, right=scores(0.8), nonsense=scores(0.3)).recognised == 0.8
    assert replace(grading, right=scores(0.3), nonsense=scores(0.3)).recognised is None
    assert replace(grading, empty=scores(1.0)).recognised is None
    assert replace(grading, must_know=False).recognised is None
    assert replace(grading, right=None).recognised is None


@pytest.mark.parametrize(("failed", "is_told"), [(5, False), (6, True)])
def test_a_share_of_unscorable_answers_is_a_warning(failed: int, is_told: bool, grading: GradingFacts) -> None:
    every = collect_scores([*[Grade.unscorable("busy")] * failed, *[Grade(score=1.0)] * (100 - failed)])
    found = judge_grading(replace(grading, every=every))
    assert [(each.severity, each.name) for each in found] == [(Severity.WARNING, "unscorable_answers")] * is_told


@pytest.mark.parametrize("right", [0.0, 0.2])
def test_a_right_answer_below_nonsense_is_a_blocker(right: float, grading: GradingFacts) -> None:
    found = only(judge_grading(replace(grading, right=scores(right), nonsense=scores(0.2))))
    assert (found.severity, found.name) == (Severity.BLOCKER, "cannot_tell_right")
    assert found.evidence == (f"mean score over 16 rows: right answer {right:.2f}, empty text 0.00, nonsense 0.20")


def test_an_empty_answer_that_scores_like_the_right_one_is_a_blocker(grading: GradingFacts) -> None:
    assert only(judge_grading(replace(grading, empty=scores(1.0)))).name == "cannot_tell_right"


def test_where_the_grader_may_want_something_else_it_is_a_warning(grading: GradingFacts) -> None:
    found = only(judge_grading(replace(grading, must_know=False, right=scores(0.0))))
    assert (found.severity, found.name) == (Severity.WARNING, "right_answer_not_recognised")


@pytest.mark.parametrize(("nonsense", "is_told"), [(0.5, False), (0.51, True)])
def test_nonsense_above_half_of_the_right_answer_is_a_warning(
    nonsense: float, is_told: bool, grading: GradingFacts
) -> None:
    found = judge_grading(replace(grading, nonsense=scores(nonsense)))
    assert [(each.severity, each.name) for each in found] == [(Severity.WARNING, "wrong_scores_high")] * is_told


def test_penalties_are_no_reason_to_warn(grading: GradingFacts) -> None:
    facts = replace(grading, right=scores(0.0), empty=scores(-1.0), nonsense=scores(-0.4))
    assert judge_grading(facts) == []


def test_a_right_answer_that_could_not_be_tried_is_noted_with_the_reason(grading: GradingFacts) -> None:
    found = only(judge_grading(replace(grading, right=None, untried="it looks at the form alone")))
    assert (found.severity, found.name) == (Severity.NOTE, "right_answer_untried")
    assert found.evidence == "it looks at the form alone"


def test_scores_that_change_are_a_warning(grading: GradingFacts) -> None:
    found = only(judge_grading(replace(grading, repetition=Repetition(answers=48, changed=5, largest=0.25))))
    assert (found.severity, found.name) == (Severity.WARNING, "scores_change")
    assert found.evidence == "5 of 48 answers graded twice changed, by up to 0.25"


def test_where_grading_was_not_repeated_nothing_is_said_of_change(grading: GradingFacts) -> None:
    assert judge_grading(replace(grading, repetition=None)) == []


def test_changes_are_counted_between_two_gradings() -> None:
    repetition = changes([1.0, 0.5, None, None, 0.2], [1.0, 0.75, None, 0.0, 0.2 + 1e-9])
    assert repetition == Repetition(answers=5, changed=2, largest=0.25)


def test_what_a_step_asks_of_a_judge_is_noted(grading: GradingFacts) -> None:
    requests = Requests(per_answer=1, tokens_per_answer=500.0, per_step=64, per_step_at_most=256, per_run=6400)
    found = only(judge_grading(replace(grading, requests=requests)))
    assert (found.severity, found.name) == (Severity.NOTE, "asks_others")
    assert found.what == "The grader asks a judge or a service 64 times a step, 6,400 in all steps."
    assert found.evidence == (
        "1 request an answer; up to 256 a step where groups are sampled again; about 32,000 tokens a step"
    )

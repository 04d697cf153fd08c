"""Findings of a run that did well are explained, and those that cast doubt on it are not played down."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.insights.diagnosis.success import describe_success
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.insights.report import render_report
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def finding(name: str, severity: Severity = Severity.PROBLEM) -> Finding:
    return Finding(name=name, severity=severity, what="It stands out.", steps=(1, 2))


def evaluation(name: str, right: int) -> Evaluation:
    samples = tuple(
        EvaluatedSample(
            prompt_id=str(number),
            prompt="?",
            text="",
            score=float(number < right),
            format_ok=None,
            answer_ok=number < right,
        )
        for number in range(64)
    )
    return Evaluation(name=name, samples=samples)


def held_out(before: int, after: int) -> list[tuple[int, Evaluation]]:
    return [(0, evaluation("baseline", before)), (60, evaluation("final", after))]


FINDINGS = [finding("no_signal"), finding("entropy_collapse", Severity.WARNING), finding("few_updates", Severity.NOTE)]


def test_a_significant_rise_on_held_out_problems_is_told_with_the_meaning_of_each_finding(make_run: MakeRun) -> None:
    told = describe_success(make_run(evaluations=held_out(15, 56)), FINDINGS)
    assert told[0].startswith("The run did well: held-out answer accuracy rose from 0.23 to 0.88 (p < 0.001).")
    assert [line.partition(":")[0] for line in told[1:]] == ["no_signal", "entropy_collapse"]


@pytest.mark.parametrize(("before", "after"), [(15, 16), (15, 15), (40, 20)])
def test_no_significant_rise_is_no_success_whatever_training_says(before: int, after: int, make_run: MakeRun) -> None:
    assert describe_success(make_run(evaluations=held_out(before, after)), FINDINGS) == []


def test_without_held_out_problems_the_rise_in_training_counts(make_run: MakeRun) -> None:
    (head, *_) = describe_success(make_run(), FINDINGS)
    assert "answer_accuracy rose from 0.3" in head
    assert head.count("in training") == 1
    assert describe_success(make_run({"answer_accuracy": 0.5}), FINDINGS) == []


@pytest.mark.parametrize(
    "name", ["reward_collapse", "held_out_falls", "failed", "killed", "disk_full", "graders_disagree", "mismatch"]
)
def test_a_finding_that_casts_doubt_on_the_success_is_not_played_down(name: str, make_run: MakeRun) -> None:
    assert describe_success(make_run(evaluations=held_out(15, 56)), [*FINDINGS, finding(name)]) == []


def test_a_run_that_gets_most_prompts_wrong_did_not_do_well(make_run: MakeRun) -> None:
    def told(wrong: float) -> list[str]:
        return describe_success(make_run({"groups/frac_all_wrong": wrong}, evaluations=held_out(15, 25)), FINDINGS)

    assert told(0.61) == []
    assert told(0.4)


def test_nothing_is_told_where_nothing_stands_out(make_run: MakeRun) -> None:
    record = make_run(evaluations=held_out(15, 56))
    assert describe_success(record, []) == []
    assert describe_success(record, [finding("solved", Severity.NOTE)]) == []


@pytest.mark.parametrize("name", [topic.value for topic in Topic])
def test_every_finding_has_a_meaning_or_casts_doubt(name: str, make_run: MakeRun) -> None:
    told = describe_success(make_run(evaluations=held_out(15, 56)), [finding(name)])
    assert told == [] or told[1].startswith(f"{name}: ")


def test_the_report_has_it_above_the_findings(make_run: MakeRun) -> None:
    record = make_run({"completions/clipped_ratio": 0.6}, evaluations=held_out(15, 56))
    page = render_report(record)
    assert "The run did well: held-out answer accuracy rose from 0.23 to 0.88" in page
    assert page.index("The run did well") < page.index("<h3>answers_cut_off")

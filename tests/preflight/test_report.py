from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.config import build_config
from verifine.config.memory import AvailableMemory, ModelShape
from verifine.config.resolve import DataFacts, MachineFacts, ModelFacts, resolve
from verifine.insights.findings import CheckVerdict, Severity
from verifine.insights.scores import collect_scores
from verifine.preflight.numbers import to_numbers, verdict_numbers
from verifine.preflight.pace import PaceEstimate, Span
from verifine.preflight.report import Report
from verifine.preflight.sampling import ShownAnswer
from verifine.preflight.words import WIDTH, describe_report, describe_verdict
from verifine.training.source import PromptLengths
from verifine.types import Grade


def test_a_run_that_is_fine_is_a_go(report: Report) -> None:
    assert report.findings == ()
    assert report.verdict is CheckVerdict.GO
    assert describe_verdict(report) == "Verdict: go, training can begin."


def test_the_worst_findings_come_first(report: Report) -> None:
    assert report.sampling is not None
    right = collect_scores([Grade(score=1.0, answer_ok=True)] * 64)
    all_right = replace(report.sampling, scores=right, groups_with_signal=0)
    bad = replace(
        report,
        data=replace(report.data, held_out_rows=5, constant_reference='"7"'),
        sampling=replace(all_right, truncated=0.5),
    )
    severities = [finding.severity for finding in bad.findings]
    assert severities == [Severity.BLOCKER, Severity.WARNING, Severity.WARNING, Severity.NOTE]
    assert describe_verdict(bad) == "Verdict: no-go, with 1 blocker to fix first and 2 warnings."
    only_warned = replace(bad, sampling=report.sampling)
    assert describe_verdict(only_warned) == "Verdict: go, with 1 warning."
    only_blocked = replace(report, sampling=all_right)
    assert describe_verdict(only_blocked) == "Verdict: no-go, with 1 blocker to fix first."


def test_a_report_judges_once_and_a_changed_one_judges_again(report: Report) -> None:
    changed = replace(report, data=replace(report.data, held_out_rows=0))
    assert [finding.name for finding in changed.findings] == ["nothing_held_out"]
    assert changed.findings is changed.findings
    assert replace(changed, data=report.data).findings == ()


def test_a_right_answer_that_is_not_recognised_says_nothing_of_the_models(report: Report) -> None:
    assert report.sampling is not None
    # Whatever the model writes scores as much as the right answer, of which nobody knows whether the grader wants it.
    scores = collect_scores([Grade(score=1.0)] * 64)
    same = replace(report, sampling=replace(report.sampling, scores=scores, groups_with_signal=0))
    assert [finding.name for finding in same.findings] == ["nothing_left_to_learn"]
    unknown = replace(same, grading=replace(same.grading, must_know=False))
    assert [finding.name for finding in unknown.findings] == ["no_signal"]


def test_an_algorithm_without_groups_is_told_nothing_of_groups(report: Report) -> None:
    told = "8 of 8 prompts got answers with different rewards"
    assert told in describe_report(report)
    ppo = replace(
        report,
        config=build_config(
            {"data": {"task": "add"}, "algorithm": {"name": "ppo"}, "sampling": {"max_new_tokens": 16}}
        ),
    )
    assert told not in describe_report(ppo)
    for each, is_told in ((report, True), (ppo, False)):
        numbers = json.loads(json.dumps(to_numbers(each)))
        assert (numbers["sampling"]["useful_groups_a_step"] is not None) == is_told


def test_grading_that_was_not_repeated_is_told_so(report: Report) -> None:
    once = replace(report, grading=replace(report.grading, repetition=None))
    assert "  not graded a second time" in describe_report(once)
    assert json.loads(json.dumps(to_numbers(once)))["grading"]["repetition"] is None


@pytest.mark.parametrize(("empty", "is_told"), [(0.5, False), (0.51, True)])
def test_saying_nothing_must_not_pay(empty: float, is_told: bool, report: Report) -> None:
    # The model's own answers score 0.5 on average, right ones 2.
    grading = replace(
        report.grading,
        empty=collect_scores([Grade(score=empty)]),
        right=collect_scores([Grade(score=2.0)]),
    )
    found = [finding for finding in replace(report, grading=grading).findings if finding.name == "idle_answers_pay"]
    assert [finding.evidence for finding in found] == ["empty text 0.51, the model 0.50"] * is_told


MODEL = ModelFacts(
    name="tiny",
    shape=ModelShape(
        parameters=1000,
        trainable=1000,
        linear_outputs=100,
        cached_bytes_per_token=64,
        head=200,
        layers=5,
        width=8,
        is_known_decoder=False,
    ),
    context_length=256,
)
MACHINE = MachineFacts(
    working_directory=Path("/work"),
    memory=AvailableMemory(place="memory", size=16 << 30, is_main=True),
    precision="float32",
)


def full(report: Report) -> Report:
    assert report.sampling is not None
    second = Span(low=1.0, high=2.0)
    return replace(
        report,
        lengths=PromptLengths(prompts=100, shortest=5, median=7, p95=11, longest=12),
        model=MODEL,
        resolved=resolve(report.config, MODEL, MACHINE, DataFacts(answer_tokens=16, longest_prompt=12)),
        pace=PaceEstimate(
            sampling=second, grading=second, update=second, evaluation=second, total=Span(low=300, high=600)
        ),
        sampling=replace(
            report.sampling,
            shown=(ShownAnswer(prompt="What is\n2 + 2?", text="4 \ud800", score=1.0),),
            prompt_rates=(0.0, 0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5),
        ),
    )


def test_a_report_tells_its_parts_in_order(report: Report) -> None:
    text = describe_report(full(report))
    headings = ["Data", "Grader (answer)", "Base model", "This machine"]
    assert [line for line in text.splitlines() if line in headings] == headings
    for line in (
        "  100 rows to train on, 50 held out",
        "  prompts have 5 to 12 tokens, half of them up to 7; 16 more are kept for the answer",
        "  the model reads 256 tokens",
        "  right answer  1.00   (written as: <answer>; asked for in 16 of 16 prompts)",
        "  64 answers to 8 prompts at temperature 1",
        "     up to 50 %  █████ 5",
        "    always right  ██ 2",
        "  1.00  What is 2 + 2? → 4 ?",
        "  100 steps and the evaluations take 5 min 0 s to 10 min 0 s",
    ):
        assert line.strip() in text, line
    assert text.splitlines()[-1].startswith("Verdict: go")
    assert text.encode()  # half a surrogate pair cannot be printed
    assert "Findings" not in text


def test_findings_are_told_with_what_to_do(report: Report) -> None:
    assert report.sampling is not None
    text = describe_report(replace(report, sampling=replace(report.sampling, truncated=0.5)))
    findings = text.partition("\nFindings\n")[2].splitlines()
    assert findings[0] == "  ! warning: 50% of the answers were cut off before they were finished."
    assert findings[2].startswith("      → Raise sampling.max_new_tokens (now 16)")
    assert all(len(line) <= WIDTH + 2 for line in findings)


def test_a_part_that_was_not_come_to_says_why(report: Report) -> None:
    broken = replace(report.grading, nonsense=collect_scores([Grade(score=1.0)]))
    text = describe_report(replace(report, grading=broken, sampling=None))
    assert "not asked: fix the findings below first" in text


def test_mean_scores_have_a_histogram_of_their_own(report: Report) -> None:
    assert report.sampling is not None
    grades = [Grade(score=number / 4) for number in range(5)]
    sampling = replace(report.sampling, scores=collect_scores(grades), prompt_rates=(0.1, 0.9))
    text = describe_report(replace(report, sampling=sampling))
    assert "prompts by their mean score:" in text
    assert "0.80 to 1.00  █ 1" in text


def test_numbers_are_json_and_hold_everything(report: Report) -> None:
    numbers = json.loads(json.dumps(to_numbers(full(report)), allow_nan=False))
    assert numbers["verdict"] == "go"
    assert numbers["prompts"]["p95"] == 11
    assert numbers["pace"]["step"] == {"low": 3.0, "high": 6.0}
    assert numbers["sampling"]["groups_with_signal"] == 8
    assert numbers["grading"]["right"]["mean"] == 1.0
    assert numbers["data"]["fields"] == {"gt_answer": 100}
    assert numbers["memory"] is None


def test_the_verdict_in_numbers_brings_its_findings(report: Report) -> None:
    warned = replace(report, data=replace(report.data, held_out_rows=0))
    numbers = json.loads(json.dumps(verdict_numbers(warned)))
    assert numbers["verdict"] == "go_with_warnings"
    (finding,) = numbers["findings"]
    assert (finding["severity"], finding["name"]) == ("warning", "nothing_held_out")
    assert set(finding) == {"severity", "name", "what", "evidence", "numbers", "steps", "remedies"}


def test_a_measured_latency_is_told(report: Report) -> None:
    slow = collect_scores([Grade(score=1.0, seconds=0.2)] * 9 + [Grade(score=1.0, seconds=3.0)])
    text = describe_report(replace(report, grading=replace(report.grading, every=slow)))
    assert "1.0 ms an answer (half of them in 200.0 ms, 95 % in 3.0 s)" in text

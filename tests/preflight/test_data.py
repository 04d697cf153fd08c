from __future__ import annotations

from dataclasses import replace

import pytest

from verifine.config import RunConfig, build_config
from verifine.data.summary import DataSummary, Repeats
from verifine.insights.findings import Finding, Severity
from verifine.preflight.data import judge_data

PAIRS = (("x.jsonl line 5", "x.jsonl line 2"), ("x.jsonl line 9", "x.jsonl line 2"))


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_data_without_a_fault_gives_nothing_to_say(summary: DataSummary, config: RunConfig) -> None:
    assert judge_data(summary, config) == []


def test_a_few_duplicates_are_noted_with_their_places(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, duplicates=Repeats(count=3, first=PAIRS)), config))
    assert (found.severity, found.name) == (Severity.NOTE, "duplicates")
    assert found.what == "3 rows of 100 repeat the question of another row."
    assert found.evidence == (
        "x.jsonl line 5 repeats x.jsonl line 2, x.jsonl line 9 repeats x.jsonl line 2, and 1 more"
    )


def test_many_duplicates_are_a_warning(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, duplicates=Repeats(count=11, first=PAIRS)), config))
    assert found.severity is Severity.WARNING


def test_held_out_rows_that_are_trained_on_are_a_warning(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, overlap=Repeats(count=2, first=PAIRS)), config))
    assert (found.severity, found.name) == (Severity.WARNING, "overlap")
    assert "2 held-out rows of 50 are also training rows" in found.what
    assert "data.eval" in found.remedies[0]


def test_one_right_answer_for_all_rows_is_a_warning(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, constant_reference='"yes"'), config))
    assert (found.severity, found.name) == (Severity.WARNING, "constant_reference")
    assert found.evidence == 'the right answer is "yes" in 100 rows'


def test_nothing_held_out_is_a_warning(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, held_out_rows=0), config))
    assert (found.severity, found.name) == (Severity.WARNING, "nothing_held_out")


@pytest.mark.parametrize(("rows", "is_few"), [(19, True), (20, False)])
def test_few_held_out_rows_are_noted(rows: int, is_few: bool, summary: DataSummary, config: RunConfig) -> None:
    found = judge_data(replace(summary, held_out_rows=rows), config)
    assert [each.name for each in found] == (["few_held_out"] if is_few else [])


def test_few_held_out_rows_are_told_with_what_chance_does(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, held_out_rows=10), config))
    # Wilson's interval of 5 in 10.
    assert found.evidence == "5 of 10 right would mean anything from 24% to 76%"


def test_fields_that_some_rows_lack_are_noted(summary: DataSummary, config: RunConfig) -> None:
    found = only(judge_data(replace(summary, fields={"gt_answer": 100, "topic": 80}), config))
    assert (found.name, found.evidence) == ("partial_fields", "topic in 80 of 100")


@pytest.mark.parametrize(("steps", "is_many"), [(250, False), (251, True), (None, False)])
def test_many_epochs_are_noted(steps: int | None, is_many: bool, summary: DataSummary) -> None:
    # 250 steps of 8 prompts are 20 epochs of 100 rows.
    config = build_config({"data": {"task": "add"}, "run": {"steps": steps, "minutes": 1}})
    assert [each.name for each in judge_data(summary, config)] == (["many_epochs"] if is_many else [])

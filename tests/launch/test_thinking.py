"""Runs of a tiny Qwen 3 with its real chat template: it thinks, it does not, and it thinks on a budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from verifine import RunConfig, resume, train
from verifine.errors import ConfigError
from verifine.graders.services import Services
from verifine.launch.checking import check_run, dry_run
from verifine.launch.grader_report import GraderUse, report_on_run
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import read_evaluations
from verifine.runs.metrics import read_metrics
from verifine.runs.rollouts import RolloutRecord, TokenColumns, read_rollouts, read_tokens
from verifine.testing import save_tiny_model, save_tiny_reasoning_model
from verifine.testing.sessions import grade, hash_final_model, tiny_run
from verifine.types import FinishReason, Json

ON, OFF = {"enable_thinking": True}, {"enable_thinking": False}
NO_THOUGHT = "<think>\n\n</think>\n\n"
SHORT: dict[str, object] = {"type": "format", "pattern": ".{1,3}"}
BUDGET, END = 3, "\n</think>\n\n"
THINKS = "{{- '<|im_start|>assistant\\n<think>\\n' }}"
"""What the template of Qwen 3's thinking models writes in place of the beginning that is Qwen 3's."""


@pytest.fixture
def model(qwen3_template: str, tmp_path: Path) -> Path:
    return save_tiny_reasoning_model(tmp_path / "qwen3", qwen3_template)


@pytest.fixture
def thinking_model(qwen3_template: str, tmp_path: Path) -> Path:
    """It is made to think by its template, so that every thought can meet its budget."""
    begun = "{{- '<|im_start|>assistant\\n' }}"
    assert qwen3_template.count(begun) == 1
    return save_tiny_reasoning_model(tmp_path / "thinking", qwen3_template.replace(begun, THINKS))


def run_of(folder: Path, model: Path, switch: dict[str, bool] | None = None) -> RunConfig:
    template: dict[str, object] = {} if switch is None else {"chat_template_kwargs": switch}
    return tiny_run(folder, model, model=template, sampling={"max_new_tokens": 14}, grader=SHORT)


def budget_run(folder: Path, model: Path, budget: int = BUDGET, **sections: dict[str, object]) -> RunConfig:
    sampling: dict[str, object] = {"max_new_tokens": 14, "thinking_token_budget": budget}
    return tiny_run(folder, model, sampling=sampling, **sections)


def rows_of(run: RunDirectory) -> list[tuple[RolloutRecord, TokenColumns]]:
    return [
        (row, read_tokens(path, *row.tokens))
        for path in sorted(run.rollouts.glob("*.jsonl"))
        for row in read_rollouts(path)
        if row.tokens is not None
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("switch", "opened"), [(None, ""), (ON, ""), (OFF, NO_THOUGHT)])
def test_a_run_thinks_or_does_not_as_its_switch_says(
    switch: dict[str, bool] | None, opened: str, model: Path, tmp_path: Path
) -> None:
    config = run_of(tmp_path, model, switch)
    assert all(text.endswith(f"<|im_start|>assistant\n{opened}") for text in dry_run(config).prompt_texts)
    run = train(config, grader=grade, check=False).directory
    rows = rows_of(run)
    assert {row.opened for row, _ in rows} == {opened}
    assert all(row.forced == () for row, _ in rows)
    assert all((row.answer_start > 0) == ("think>" in row.text) for row, _ in rows)
    assert any("grad_norm" in report.metrics for report in read_metrics(run.metrics))


@pytest.mark.parametrize("algorithm", ["grpo", pytest.param("ppo", marks=pytest.mark.slow)])
def test_a_run_on_a_budget_learns_everything_but_what_was_forced(
    algorithm: str, thinking_model: Path, tmp_path: Path
) -> None:
    config = budget_run(tmp_path, thinking_model, algorithm={"name": algorithm})
    run = train(config, grader=grade, check=False).directory
    rows = rows_of(run)
    forced = [(row, tokens) for row, tokens in rows if row.forced]
    assert len(forced) > len(rows) / 2
    for row, tokens in forced:
        thought, _, behind = row.text.partition(END)
        assert len(thought.replace("<think>", "")) == BUDGET  # a token a character; it may write a tag of its own
        assert behind or row.finish_reason is FinishReason.STOP
        first = row.forced[0]
        assert row.forced[:4] == tuple(range(first, first + 4))
        places = np.array(row.forced)
        assert (tokens.logprobs[places] == 0).all()
        assert np.isnan(tokens.numbers.advantage[places]).all()
        assert (np.isfinite(tokens.numbers.advantage).sum() == len(tokens.ids) - len(places)) or not row.advantage
    # The learner finds the log-probabilities that the engine drew with, behind what was forced, too.
    reports = read_metrics(run.metrics)
    assert any("mismatch/max" in report.metrics for report in reports)
    assert all(report.metrics.get("mismatch/max", 0.0) < 1e-3 for report in reports)


def test_graders_see_the_answer_and_rows_say_where_it_begins(thinking_model: Path, tmp_path: Path) -> None:
    config = budget_run(tmp_path, thinking_model, grader=SHORT, evaluation={"samples": 3})
    run = train(config, check=False).directory
    rows = [row for row, _ in rows_of(run)]
    forced = [row for row in rows if row.forced and row.text.count("think>") == 1]
    assert forced
    assert all(row.text[row.answer_start :] == row.text[BUDGET + len(END) :].lstrip("\n") for row in forced)
    # The thought's own tokens and the line break that the budget wrote before the tag.
    assert {row.reasoning_tokens for row in forced} == {BUDGET + 1}
    means = [report.metrics["completions/reasoning_tokens"] for report in read_metrics(run.metrics)]
    assert len(means) == 3
    assert sum(means) / 3 == pytest.approx(sum(row.reasoning_tokens or 0 for row in rows) / len(rows))
    for evaluation in read_evaluations(run.evaluations).values():
        assert all(sample.reasoning_tokens is not None for sample in evaluation.samples)
        assert any(0 < sample.answer_start < len(sample.text) for sample in evaluation.samples)
    again = report_on_run(run.path, None, None, None, GraderUse(services=Services()))
    assert again.agreement is not None
    assert again.agreement.same == again.agreement.count == len(rows)
    assert "Thought (tokens)" in run.report.read_text(encoding="utf-8")


def test_a_grader_of_a_run_gets_thought_and_answer(thinking_model: Path, tmp_path: Path) -> None:
    seen: list[tuple[Json, Json]] = []

    def note(sample: Mapping[str, Json], item: Mapping[str, Json]) -> float:
        seen.append((sample["reasoning_text"], sample["output_text"]))
        return float(len(seen) % 2)

    run = train(budget_run(tmp_path, thinking_model, run={"steps": 1}), grader=note, check=False).directory
    texts = {row.text for row, _ in rows_of(run)}
    assert len({(thought, answer) for thought, answer in seen if thought and answer}) > 1
    assert all("</think>" not in str(answer) for _, answer in seen)
    assert not {answer for _, answer in seen if answer} & texts


def test_the_check_says_that_graders_do_not_see_thoughts(model: Path, tmp_path: Path) -> None:
    report = check_run(run_of(tmp_path, model, ON), grader=grade)
    assert "answers_without_thoughts" in {finding.name for finding in report.findings}


@pytest.mark.slow
def test_a_run_on_a_budget_is_resumed_exactly(thinking_model: Path, tmp_path: Path) -> None:
    whole = train(budget_run(tmp_path / "whole", thinking_model), grader=grade, check=False).directory
    first = train(budget_run(tmp_path / "parts", thinking_model, run={"steps": 1}), grader=grade, check=False)
    resumed = resume(first.directory.path, steps=3, grader=grade).directory
    assert [row for row, _ in rows_of(resumed)] == [row for row, _ in rows_of(whole)]
    assert hash_final_model(resumed.path) == hash_final_model(whole.path)


def test_a_budget_that_cannot_be_kept_is_refused_before_anything_is_sampled(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sampling.thinking_token_budget"):
        train(budget_run(tmp_path / "long", model, 10), grader=grade, check=False)
    plain = save_tiny_model(tmp_path / "plain")
    with pytest.raises(ConfigError, match="sampling.thinking_token_budget"):
        train(budget_run(tmp_path / "plain-run", plain), grader=grade, check=False)

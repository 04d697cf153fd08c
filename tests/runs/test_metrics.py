from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from verifine.runs.metrics import METRICS, MetricLog, explain_metrics, read_metrics
from verifine.types import StepReport


def test_steps_read_back_as_they_were_written(tmp_path: Path) -> None:
    log = MetricLog(tmp_path / "metrics.jsonl")
    reports = [StepReport(step=step, metrics={"reward": step / 4, "kl": 0.0}) for step in range(1, 4)]
    for report in reports:
        log.append(report)
    assert read_metrics(tmp_path / "metrics.jsonl") == reports


def test_a_number_that_is_not_finite_is_null_in_the_file_and_missing_when_read(tmp_path: Path) -> None:
    MetricLog(tmp_path / "metrics.jsonl").append(StepReport(step=1, metrics={"grad_norm": math.inf, "reward": 0.5}))
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {"step": 1, "grad_norm": None, "reward": 0.5}
    assert read_metrics(tmp_path / "metrics.jsonl") == [StepReport(step=1, metrics={"reward": 0.5})]


def test_a_name_that_nobody_explained_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    log = MetricLog(tmp_path / "metrics.jsonl")
    with pytest.raises(ValueError, match="rewards_mean"):
        log.append(StepReport(step=1, metrics={"reward": 1.0, "rewards_mean": 1.0}))
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_the_members_of_a_family_are_explained_by_it(tmp_path: Path) -> None:
    report = StepReport(step=1, metrics={"rewards/style": 0.5, "loss": 0.0, "rewards/my own/name": 1.0, "reward": 2.0})
    MetricLog(tmp_path / "metrics.jsonl").append(report)
    assert read_metrics(tmp_path / "metrics.jsonl") == [report]
    explained = explain_metrics([*report.metrics, "nonesuch"])
    assert [metric.name for metric in explained] == ["reward", "rewards/style", "rewards/my own/name", "loss"]
    assert explained[1].meaning == METRICS["rewards/<name>"].meaning


@pytest.mark.parametrize("name", ["rewards", "reward/style", "my_rewards/style", "Rewards/style"])
def test_a_name_beside_a_family_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=name):
        MetricLog(tmp_path / "metrics.jsonl").append(StepReport(step=1, metrics={name: 1.0}))


def test_a_half_written_last_step_is_left_out_and_the_log_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "rew')
    assert [report.step for report in read_metrics(path)] == [1]
    MetricLog(path).append(StepReport(step=2, metrics={}))
    assert [report.step for report in read_metrics(path)] == [1, 2]


def test_every_metric_is_explained_in_a_sentence_under_its_own_name() -> None:
    assert all(name == metric.name for name, metric in METRICS.items())
    assert all(metric.meaning.endswith(".") for metric in METRICS.values())
    assert len({metric.meaning for metric in METRICS.values()}) == len(METRICS)

"""The check before training: it stops what would be in vain, is written down, and changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from verifine import RunConfig, train
from verifine.config import build_config
from verifine.errors import ConfigError
from verifine.insights.findings import CheckVerdict
from verifine.launch.checking import check_run
from verifine.launch.options import LaunchOptions
from verifine.preflight.check import Extent, NoGoError
from verifine.preflight.events import CheckReported
from verifine.preflight.report import Report
from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunChecked, RunEvent, StageBegan, read_events
from verifine.runs.run_file import read_run_file
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model


@dataclass
class Watcher:
    """Remembers the checks it is shown, and what came before them."""

    stages: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def __call__(self, event: RunEvent) -> None:
        match event:
            case StageBegan(text=text):
                self.stages.append(text)
            case CheckReported(report=report):
                self.reports.append(report)


def make_config(tmp_path: Path, name: str = "run", **sections: dict[str, Any]) -> RunConfig:
    data, base = tmp_path / "train.jsonl", tmp_path / "base"
    if not base.exists():
        save_tiny_model(base)
        rows = [{"messages": [{"role": "user", "content": f"say {i}"}], "gt_answer": str(i)} for i in range(90)]
        data.write_text("\n".join(map(json.dumps, rows)))
    return build_config(
        {
            "model": {"name": str(base), "precision": "float32"},
            "data": {"train": str(data)},
            "sampling": {"prompts_per_step": 8, "group_size": 8, "max_new_tokens": 8},
            "optim": {"learning_rate": 1e-3, "warmup_steps": 0},
            "run": {"directory": str(tmp_path / name), "steps": 3},
            **sections,
        }
    )


def vowels(sample: dict[str, Any], item: dict[str, Any]) -> float:
    text = sample["output_text"]
    return sum(character in "aeiou" for character in text) / max(len(text), 1)


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["grpo", "dapo"])
def test_a_checked_run_learns_exactly_what_an_unchecked_one_learns(algorithm: str, tmp_path: Path) -> None:
    runs = {}
    for check in (True, False):
        config = make_config(tmp_path, f"check-{check}", algorithm={"name": algorithm})
        runs[check] = train(config, grader=vowels, check=check)
    weights = [load_file(run.directory.model / "model.safetensors") for run in runs.values()]
    assert all((weights[0][name] == tensor).all() for name, tensor in weights[1].items())
    rollouts = [{file.name: file.read_bytes() for file in run.directory.rollouts.iterdir()} for run in runs.values()]
    assert rollouts[0] == rollouts[1]


def test_the_check_is_written_into_the_run(tmp_path: Path) -> None:
    watcher = Watcher()
    run = train(make_config(tmp_path), grader=vowels, options=LaunchOptions(listeners=[watcher]))
    (report,) = watcher.reports
    written = json.loads(run.directory.preflight.read_text())
    assert written["verdict"] == report.verdict.value == "go_with_warnings"
    assert written["sampling"]["prompts"] == 8
    events = read_events(run.directory.events)
    assert [event.event.kind for event in events[:3]] == ["attempt", "checked", "started"]
    checked = events[1].event
    assert isinstance(checked, RunChecked)
    assert checked.verdict == "go_with_warnings"
    assert list(checked.findings) == written["findings"]


def test_without_the_check_nothing_of_it_is_written(tmp_path: Path) -> None:
    watcher = Watcher()
    run = train(make_config(tmp_path), grader=vowels, options=LaunchOptions(listeners=[watcher]), check=False)
    assert watcher.reports == []
    assert not run.directory.preflight.exists()
    assert [event.event.kind for event in read_events(run.directory.events)[:2]] == ["attempt", "started"]


def test_a_refused_run_says_so_in_its_directory_which_may_be_used_again(tmp_path: Path) -> None:
    any_text = {"type": "string_check", "input": "{{ sample.output_text }}", "reference": "e", "operation": "like"}
    config = make_config(tmp_path, grader=any_text)
    watcher = Watcher()
    with pytest.raises(NoGoError, match="cannot tell right from wrong"):
        train(config, options=LaunchOptions(listeners=[watcher]))
    assert [report.verdict for report in watcher.reports] == [CheckVerdict.NO_GO]
    run = RunDirectory.open(tmp_path / "run")
    status = find_status(run)
    assert (status.status, status.reason) == (Status.FAILED, "no_go")
    assert json.loads(run.preflight.read_text())["verdict"] == "no_go"
    assert train(config, check=False).summary.progress.step == 3
    assert find_status(run).status is Status.FINISHED
    assert [attempt.from_step for attempt in read_run_file(run.path).attempts] == [None, 0]
    with pytest.raises(ConfigError, match="never overwrites"):
        train(config, check=False)


def test_a_grader_that_cannot_work_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    watcher = Watcher()
    with pytest.raises(NoGoError, match="could not score a single answer"):
        train(
            make_config(tmp_path),
            grader=lambda sample, item: item["points"],
            options=LaunchOptions(listeners=[watcher]),
        )
    assert watcher.stages == ["trying the grader"]
    (report,) = watcher.reports
    assert report.sampling is None


def test_a_model_that_cannot_fit_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    config = make_config(tmp_path)
    config_file = tmp_path / "base" / "config.json"
    large = {"hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 16}
    config_file.write_text(json.dumps({**json.loads(config_file.read_text()), **large}))
    watcher = Watcher()
    report = check_run(config, grader=vowels, options=LaunchOptions(listeners=[watcher]))
    assert watcher.stages == ["trying the grader"]
    assert [finding.name for finding in report.findings][:1] == ["memory"]
    assert report.verdict is CheckVerdict.NO_GO


def test_a_check_of_its_own_trains_nothing(tmp_path: Path) -> None:
    report = check_run(make_config(tmp_path), grader=vowels)
    assert report.sampling is not None
    assert (report.sampling.prompts, report.sampling.samples) == (16, 8)
    assert not (tmp_path / "run").exists()
    assert check_run(make_config(tmp_path), grader=vowels, extent=Extent(rows=2, samples=3)).sampling is not None


def test_a_check_of_its_own_tells_a_no_go_as_a_report(tmp_path: Path) -> None:
    report = check_run(make_config(tmp_path), grader=lambda sample, item: item["points"])
    assert report.verdict is CheckVerdict.NO_GO
    assert report.sampling is None


def test_adapters_and_copies_of_the_model_are_checked_as_well(tmp_path: Path) -> None:
    config = make_config(tmp_path, algorithm={"name": "ppo", "beta": 0.1, "critic": {"kind": "model"}})
    report = check_run(config, grader=vowels)
    assert report.memory is not None
    assert {"reference", "critic"} <= set(report.memory.resident)
    config = make_config(tmp_path, model={"name": str(tmp_path / "base"), "precision": "float32", "lora": {"rank": 2}})
    report = check_run(config, grader=vowels)
    assert report.memory is not None
    assert report.memory.resident["gradients"] < report.memory.resident["weights"]

"""Numbers that go wrong, each injected into a real run of a tiny model: none ends in weights that are not numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from verifine import train
from verifine.checkpoints.store import read_checkpoint
from verifine.errors import GraderError, TrainingError
from verifine.runs.directory import RunDirectory
from verifine.runs.events import CheckpointSaved, read_events
from verifine.runs.metrics import read_metrics
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run

Score = Callable[[Mapping[str, Any], Mapping[str, Any]], Any]

HUGE, LARGE = 3e38, 1e6
CENTERED: dict[str, Any] = {"algorithm": {"name": "dr_grpo"}}
"""Advantages as large as the scores are: nothing normalises them."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def is_odd(sample: Mapping[str, Any]) -> bool:
    return sum(map(ord, sample["output_text"])) % 2 == 1


def some(fault: Callable[[], Any]) -> Score:
    """An honest score for half of the answers, and a fault for the others."""
    return lambda sample, item: fault() if is_odd(sample) else grade(sample, item)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = load_file(folder / "model.safetensors")
    return tensors


def check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def metric(run: RunDirectory, name: str) -> list[float]:
    return [report.metrics[name] for report in read_metrics(run.metrics)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("an exception", lambda: 1 / 0),
        ("not a number", lambda: math.nan),
        ("infinity", lambda: -math.inf),
        ("a text", lambda: "1.0"),
        ("nothing", lambda: None),
        ("a list", lambda: [1.0]),
        ("an integer beyond every float", lambda: 10**400),
    ],
)
def test_an_answer_that_gets_no_score_is_left_out_and_counted(
    name: str, fault: Callable[[], Any], model: Path, tmp_path: Path
) -> None:
    ended = train(tiny_run(tmp_path, model), grader=some(fault), check=False)
    assert ended.summary.ending is Status.FINISHED, name
    unscorable = metric(ended.directory, "unscorable")
    assert 0 < sum(unscorable) < 3 * 6
    assert all(math.isfinite(value) for value in metric(ended.directory, "reward"))
    check_finite(weights(ended.directory.model))


def test_a_grader_that_fails_on_everything_ends_the_run_and_leaves_no_model(model: Path, tmp_path: Path) -> None:
    with pytest.raises(GraderError, match="could not score 120 of 120 answers"):
        train(tiny_run(tmp_path, model, run={"steps": 30}), grader=lambda sample, item: 1 / 0, check=False)
    run = RunDirectory(path=tmp_path / "run")
    assert find_status(run).status == "failed"
    assert not run.model.exists()


def test_equal_scores_change_nothing_and_end_the_run_in_time(model: Path, tmp_path: Path) -> None:
    ended = train(tiny_run(tmp_path, model, run={"steps": 30}), grader=lambda sample, item: 0.5, check=False)
    assert ended.summary.ending is Status.NO_SIGNAL
    assert metric(ended.directory, "update_skipped") == [1.0] * 20
    before, after = weights(model), weights(ended.directory.model)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_a_batch_that_is_empty_because_everything_was_cut_off_is_no_update(model: Path, tmp_path: Path) -> None:
    algorithm = {"name": "dapo", "max_resample": 0, "drop_truncated": True}
    config = tiny_run(tmp_path, model, algorithm=algorithm, run={"steps": 2})
    ended = train(config, grader=grade, check=False)
    assert metric(ended.directory, "completions/clipped_ratio") == [1.0, 1.0]
    assert metric(ended.directory, "update_skipped") == [1.0, 1.0]
    check_finite(weights(ended.directory.model))


def test_a_gradient_that_explodes_is_limited_and_its_norm_is_told(model: Path, tmp_path: Path) -> None:
    ended = train(
        tiny_run(tmp_path, model, **CENTERED), grader=lambda sample, item: LARGE * is_odd(sample), check=False
    )
    assert ended.summary.ending is Status.FINISHED
    assert max(metric(ended.directory, "grad_norm")) > 1000
    assert sum(metric(ended.directory, "updates")) > 0
    check_finite(weights(ended.directory.model))


def test_one_update_that_is_not_finite_is_skipped_and_counted(model: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def once(sample: Mapping[str, Any], item: Mapping[str, Any]) -> float:
        asked.append(1)
        in_second_step = 2 + 6 < len(asked) <= 2 + 2 * 6  # 2 answers are those of the first evaluation
        return (-1) ** len(asked) * HUGE if in_second_step else grade(sample, item)

    ended = train(tiny_run(tmp_path, model, **CENTERED), grader=once, check=False)
    assert ended.summary.ending is Status.FINISHED
    assert metric(ended.directory, "update_skipped")[1] == 1.0
    assert metric(ended.directory, "update_skipped")[2] == 0.0
    check_finite(weights(ended.directory.model))


def test_a_gradient_that_stays_infinite_ends_the_run_with_a_dump_and_the_last_good_weights(
    model: Path, tmp_path: Path
) -> None:
    asked: list[int] = []

    def later(sample: Mapping[str, Any], item: Mapping[str, Any]) -> float:
        asked.append(1)
        return (-1) ** len(asked) * HUGE if len(asked) > 2 + 6 else grade(sample, item)

    with pytest.raises(TrainingError, match=r"3 updates in a row(.|\n)*what the last step learned from is in"):
        train(tiny_run(tmp_path, model, **CENTERED, run={"steps": 9}), grader=later, check=False)
    run = RunDirectory(path=tmp_path / "run")
    assert [path.name for path in run.dumps.iterdir()] == ["step-000004.safetensors"]
    assert not run.model.exists()
    newest = max(run.checkpoints.iterdir())
    events = read_events(run.events)
    assert [each.event.step for each in events if isinstance(each.event, CheckpointSaved)][-1] == int(newest.name[-6:])
    assert find_status(run).status is Status.FAILED
    saved = read_checkpoint(newest).tensors
    check_finite(saved)
    assert all(int(saved[name]) == 1 for name in saved if name.startswith("policy/step/"))

"""Which weights become the model, and when training stops."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from verifine import train
from verifine.checkpoints.store import read_checkpoint
from verifine.launch.session import TrainedRun, resume
from verifine.runs.evaluations import Evaluation, read_evaluations
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run

BETWEEN = {"eval_interval": 1, "keep_last": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"))


def rewards(run: TrainedRun) -> dict[str, float]:
    """What every evaluation found, in their order."""
    found = read_evaluations(run.directory.evaluations)
    assert run.summary.progress.step == len([name for name in found if name.startswith("step-")])
    names = ["baseline", *(f"step-{step}" for step in range(1, run.summary.progress.step + 1))]
    return {name: value(found[name]) for name in names}


def value(evaluation: Evaluation) -> float:
    assert evaluation.reward is not None
    return evaluation.reward


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_weights_become_the_model(seed: int, model: Path, tmp_path: Path) -> None:
    config = tiny_run(
        tmp_path, model, run={**BETWEEN, "steps": 6, "seed": seed}, evaluation={"samples": 8, "keep": "best"}
    )
    ended = train(config, grader=grade, check=False)
    found = rewards(ended)
    best = max(found, key=lambda name: found[name])
    final = ended.summary.final
    assert final is not None
    assert (final.step, final.reward) == (0 if best == "baseline" else int(best.removeprefix("step-")), found[best])
    saved = read_checkpoint(ended.directory.checkpoints / f"step-{final.step:06d}").tensors
    written = load_file(ended.directory.model / "model.safetensors")
    kept = {name.removeprefix("policy/weights/"): each for name, each in saved.items() if "/weights/" in name}
    assert kept
    assert all(torch.equal(written[name], kept[name]) for name in kept if name in written)


def test_training_stops_where_nothing_gets_better(model: Path, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model, run={**BETWEEN, "steps": 60}, evaluation={"samples": 8, "patience": 3})
    ended = train(config, grader=grade, check=False)
    assert ended.summary.ending is Status.NO_PROGRESS
    assert find_status(ended.directory).status == "no_progress"
    results = list(rewards(ended).values())
    assert max(results[-3:]) <= max(results[:-3])
    earlier = (results[:end] for end in range(4, len(results)))
    assert all(max(each[-3:]) > max(each[:-3]) for each in earlier)


def test_a_second_grader_decides_and_training_never_sees_it(model: Path, tmp_path: Path) -> None:
    second = {
        "type": "string_check",
        "name": "e",
        "input": "{{sample.output_text}}",
        "operation": "like",
        "reference": "e",
    }
    config = tiny_run(
        tmp_path / "two",
        model,
        run={**BETWEEN, "steps": 4},
        evaluation={"samples": 8, "grader": second, "keep": "best"},
    )
    two = train(config, grader=grade, check=False)
    one = train(tiny_run(tmp_path / "one", model, run={"steps": 4}), grader=grade, check=False)
    assert (two.directory.metrics.read_text().count("\n"), one.directory.metrics.read_text().count("\n")) == (4, 4)
    found = read_evaluations(two.directory.evaluations)
    truths = {name: sum(sample.second_score or 0 for sample in each.samples) for name, each in found.items()}
    for each in found.values():
        assert [sample.second_score for sample in each.samples] == [
            float("e" in sample.text) for sample in each.samples
        ]
    assert truths["final"] == max(truths.values())


@pytest.mark.slow
def test_patience_that_is_over_stays_over_until_there_is_more_of_it(model: Path, tmp_path: Path) -> None:
    config = tiny_run(tmp_path, model, run={**BETWEEN, "steps": 60}, evaluation={"samples": 8, "patience": 2})
    ended = train(config, grader=grade, check=False)
    again = resume(ended.directory.path, grader=grade)
    assert again.summary.ending is Status.NO_PROGRESS
    assert again.summary.progress == ended.summary.progress
    assert (again.directory.model / "model.safetensors").is_file()

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from verifine import resume
from verifine.errors import ConfigError
from verifine.launch.export.target import find_export_target, is_export_target
from verifine.launch.options import LaunchOptions
from verifine.runs.directory import RunDirectory
from verifine.runs.requests import RunRequest
from verifine.testing.sessions import grade


@pytest.fixture
def run(full_run: RunDirectory, tmp_path: Path) -> RunDirectory:
    return RunDirectory(path=shutil.copytree(full_run.path, tmp_path / "run"))


def test_a_run_and_its_model_folder_mean_its_model(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.model)
    for path in (run.path, run.model, Path()):
        assert is_export_target(path)
        target = find_export_target(path)
        assert (target.run.path, target.step, target.checkpoint) == (run.path, None, None)


def test_another_folder_of_a_run_or_called_model_is_no_target(run: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for path in (run.checkpoints, tmp_path / "model", tmp_path / "nothing"):
        assert not is_export_target(path)


def test_a_checkpoint_means_its_weights(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run.checkpoints / "step-000002"
    target = find_export_target(folder)
    assert (target.run.path, target.step, target.checkpoint) == (run.path, 2, folder)
    monkeypatch.chdir(folder)
    assert find_export_target(Path()).step == 2


def test_a_checkpoint_outside_its_run_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    moved = (run.checkpoints / "step-000002").rename(tmp_path / "step-000002")
    with pytest.raises(ConfigError, match="is a checkpoint outside its run"):
        find_export_target(moved)


def test_a_renamed_checkpoint_is_refused(run: RunDirectory) -> None:
    renamed = (run.checkpoints / "step-000002").rename(run.checkpoints / "best")
    with pytest.raises(ConfigError, match="RUN/checkpoints/step-N"):
        find_export_target(renamed)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        find_export_target(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="not a run directory"):
        find_export_target(tmp_path)


def test_a_run_without_a_model_names_its_newest_checkpoint(run: RunDirectory) -> None:
    shutil.rmtree(run.model)
    with pytest.raises(ConfigError, match=r"has no model/ yet.*verifine resume .*step-000003"):
        find_export_target(run.path)
    shutil.rmtree(run.checkpoints)
    with pytest.raises(ConfigError, match=r"verifine resume [^,]*$"):
        find_export_target(run.path)


def test_a_model_that_the_run_has_left_behind_is_refused(run: RunDirectory) -> None:
    resume(run.path, steps=5, grader=grade, options=LaunchOptions(request=lambda: RunRequest.PAUSE))
    with pytest.raises(ConfigError, match=r"went on after it saved model/.*step-000003"):
        find_export_target(run.path)

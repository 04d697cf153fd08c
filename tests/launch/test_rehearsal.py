"""How much space the end of a run takes, and that it is there before the first step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from verifine.errors import DiskError
from verifine.launch.build import BuiltRun, build_run, fetch_model
from verifine.launch.facts import find_facts
from verifine.launch.inputs import load_inputs
from verifine.launch.options import DEFAULT_OPTIONS
from verifine.launch.rehearsal import needed_bytes, refuse_small_disk, rehearse_ending
from verifine.launch.run_graders import open_graders
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import describe_environment
from verifine.runs.events import ignore
from verifine.runs.run_config import write_run_config
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run


def build(folder: Path, **sections: Any) -> Iterator[BuiltRun]:
    config = tiny_run(folder, save_tiny_model(folder / "base"), **sections)
    inputs = load_inputs(config)
    with open_graders(inputs, grade, DEFAULT_OPTIONS.services()) as graders:
        files = fetch_model(config, ignore)
        with closing(build_run(inputs, graders, files, find_facts(inputs, files), ignore)) as built:
            yield built


@pytest.fixture
def built(tmp_path: Path) -> Iterator[BuiltRun]:
    yield from build(tmp_path)


def test_the_model_and_a_checkpoint_with_two_moments_take_four_times_the_weights(built: BuiltRun) -> None:
    assert needed_bytes(built) == 4 * 4 * built.model.parameter_count


def test_with_adapters_a_checkpoint_holds_only_these(tmp_path: Path) -> None:
    (built,) = build(tmp_path, model={"lora": {"rank": 4}})
    adapters = sum(each.numel() for each in built.model.network.parameters() if each.requires_grad)
    assert 0 < adapters < built.model.parameter_count / 2
    assert needed_bytes(built) == 4 * (built.model.parameter_count + 3 * adapters)


def test_a_disk_without_that_space_is_refused_by_its_folder(built: BuiltRun, tmp_path: Path) -> None:
    needed = needed_bytes(built)
    refuse_small_disk(built, tmp_path, lambda _: needed)
    with pytest.raises(DiskError, match=rf"{tmp_path} has .* of free space, .*\(run\.directory\)"):
        refuse_small_disk(built, tmp_path, lambda _: needed - 1)


def test_a_folder_that_is_not_there_yet_is_on_the_disk_of_its_parent(built: BuiltRun, tmp_path: Path) -> None:
    refuse_small_disk(built, tmp_path / "not" / "yet")


def test_a_rehearsal_leaves_the_directory_as_it_was(built: BuiltRun, tmp_path: Path) -> None:
    directory = RunDirectory(path=tmp_path / "run")
    write_run_config(directory, built.config, describe_environment())
    before = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}
    (directory.path / ".rehearsal.tmp").mkdir()  # from a process that was killed
    rehearse_ending(built, directory)
    assert {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()} == before
    assert not (directory.path / ".rehearsal.tmp").exists()

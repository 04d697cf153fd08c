from __future__ import annotations

from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory
from verifine.runs.run_config import load_run_config
from verifine.runs.run_file import RunFile, write_run_file


def run_with(folder: Path, text: str) -> RunDirectory:
    directory = RunDirectory(path=folder)
    directory.config.write_text(f"data: {{task: add}}\n{text}", encoding="utf-8")
    return directory


def test_keys_of_the_first_format_are_read_where_they_are_now(tmp_path: Path) -> None:
    config = load_run_config(run_with(tmp_path, "sampling: {precision: int8, group_size: 4}\n"), ["run.steps=7"])
    assert config.engine.precision == "int8"
    assert config.sampling.group_size == 4
    assert config.run.steps == 7


def test_a_run_of_the_first_format_without_such_keys_is_read_too(tmp_path: Path) -> None:
    assert load_run_config(run_with(tmp_path, "sampling: {group_size: 4}\n")).engine.precision == "same"


def test_keys_of_the_first_format_are_refused_in_a_run_of_this_one(tmp_path: Path) -> None:
    directory = run_with(tmp_path, "sampling: {precision: int8}\n")
    write_run_file(tmp_path, RunFile())
    with pytest.raises(ConfigError, match="engine.precision"):
        load_run_config(directory)

"""`run.json`, and what went before it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory
from verifine.runs.run_file import Attempt, Provenance, RunFile, read_run_file, write_run_file

PROVENANCE = Provenance(model="a", data="b", grader=None)


def attempt(number: int, from_step: int | None = None) -> Attempt:
    return Attempt(
        number=number,
        started=datetime(2026, 1, 1, tzinfo=UTC),
        host="h",
        pid=3,
        versions={"python": "3.12", "torch": None},
        from_step=from_step,
    )


def test_a_run_file_reads_back(tmp_path: Path) -> None:
    run_file = RunFile(attempts=(attempt(1), attempt(2, from_step=0)), provenance=PROVENANCE)
    write_run_file(tmp_path, run_file)
    assert read_run_file(tmp_path) == run_file
    assert run_file.training_attempts == (attempt(2, from_step=0),)


def test_an_attempt_takes_the_place_of_what_was_known_of_it() -> None:
    run_file = RunFile().with_latest(attempt(1)).with_latest(attempt(2)).with_latest(attempt(2, from_step=7))
    assert run_file.attempts == (attempt(1), attempt(2, from_step=7))


def test_the_first_format_is_read_and_becomes_this_one_with_its_next_attempt(tmp_path: Path) -> None:
    (tmp_path / "origins.json").write_text('{"model": "a", "data": "b", "grader": null}')
    old = read_run_file(tmp_path)
    assert (old.format, old.attempts, old.provenance) == (0, (), PROVENANCE)
    write_run_file(tmp_path, old.with_latest(attempt(1, from_step=4)))
    new = read_run_file(tmp_path)
    assert (new.format, new.provenance) == (1, PROVENANCE)


def test_a_later_format_is_refused_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 2, "whatever": 1}')
    with pytest.raises(ConfigError, match="format 2"):
        read_run_file(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1, "attempts": 3}', '{"format": "x"}'])
def test_a_damaged_file_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigError, match=r"run\.json"):
        read_run_file(tmp_path)


def test_only_a_directory_in_which_training_never_began_is_used_again(tmp_path: Path) -> None:
    refused, begun = tmp_path / "refused", tmp_path / "begun"
    for folder in (refused, begun):
        folder.mkdir()
        (folder / "events.jsonl").touch()
    write_run_file(refused, RunFile(attempts=(attempt(1), attempt(2))))
    write_run_file(begun, RunFile(attempts=(attempt(1, from_step=0),), provenance=PROVENANCE))
    RunDirectory.check_free(refused)
    with pytest.raises(ConfigError, match="never overwrites"):
        RunDirectory.check_free(begun)


def test_a_directory_whose_process_was_killed_at_once_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "heartbeat.json").touch()
    (tmp_path / "requests").mkdir()
    (tmp_path / ".run.json.tmp").touch()
    RunDirectory.check_free(tmp_path)

from __future__ import annotations

from pathlib import Path

import pytest

from verifine.runs.directory import RunDirectory
from verifine.runs.requests import RunRequest, ask_run, clear_requests, find_request


def test_nobody_has_asked_anything_of_a_new_run(tmp_path: Path) -> None:
    assert find_request(RunDirectory(path=tmp_path)) is None


@pytest.mark.parametrize("request_", RunRequest)
def test_a_request_is_seen_until_it_is_cleared(request_: RunRequest, tmp_path: Path) -> None:
    directory = RunDirectory(path=tmp_path)
    ask_run(directory, request_)
    assert find_request(directory) is request_
    clear_requests(directory)
    assert find_request(directory) is None


def test_touching_a_file_is_enough_and_the_strongest_request_wins(tmp_path: Path) -> None:
    directory = RunDirectory(path=tmp_path)
    directory.requests.mkdir()
    for name in ("stop", "pause", "something else"):
        (directory.requests / name).touch()
    assert find_request(directory) is RunRequest.PAUSE
    (directory.requests / "cancel").touch()
    assert find_request(directory) is RunRequest.CANCEL

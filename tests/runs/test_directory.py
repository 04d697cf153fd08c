from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.runs.directory import RunDirectory, create_folder, write_json, write_text

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_run_without_a_directory_gets_a_dated_one_under_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [RunDirectory.create(None, "add-grpo", NOW).path for _ in range(3)]
    assert [str(path) for path in paths] == [
        "runs/add-grpo-20260102-030405",
        "runs/add-grpo-20260102-030405-2",
        "runs/add-grpo-20260102-030405-3",
    ]
    assert all(path.is_dir() for path in paths)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("Qwen/Qwen3 0.6B", "Qwen-Qwen3-0.6B"), ("../../etc", "etc"), ("日本", "run"), ("", "run")],
)
def test_a_name_becomes_one_plain_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunDirectory.create(None, name, NOW).path == Path("runs") / f"{folder}-20260102-030405"


def test_a_given_directory_is_made_with_its_parents_or_used_if_empty(tmp_path: Path) -> None:
    assert RunDirectory.create(tmp_path / "a" / "b", "x", NOW).path.is_dir()
    assert RunDirectory.create(tmp_path / "a" / "b", "x", NOW).path == tmp_path / "a" / "b"


def test_a_run_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(
        ConfigError, match="is not empty, and Verifine never overwrites; give a folder that does not exist yet"
    ):
        RunDirectory.create(tmp_path, "x", NOW)
    with pytest.raises(ConfigError, match="is a file"):
        RunDirectory.create(tmp_path / "notes.txt", "x", NOW)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_what_is_refused_is_named_as_the_user_gave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="^--out: .* leave --out out to get a new one"):
        create_folder(tmp_path, "--out", Path("compare"), NOW)
    monkeypatch.chdir(tmp_path)
    assert str(create_folder(None, "--out", Path("compare"), NOW)) == "compare-20260102-030405"


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        RunDirectory.create(tmp_path / "file" / "run", "x", NOW)


def test_only_a_folder_with_a_config_opens(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder") as caught:
        RunDirectory.open(tmp_path / "missing")
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"not a run directory, for it holds no config\.yaml"):
        RunDirectory.open(tmp_path)
    write_text(tmp_path / "config.yaml", "")
    assert RunDirectory.open(tmp_path).config == tmp_path / "config.yaml"


def test_the_layout_is_the_one_that_is_documented(tmp_path: Path) -> None:
    run = RunDirectory(path=tmp_path)
    files = (run.config, run.environment, run.events, run.metrics, run.report)
    assert [path.name for path in files] == ["config.yaml", "env.json", "events.jsonl", "metrics.jsonl", "report.html"]
    folders = (run.rollouts, run.evaluations, run.checkpoints, run.model)
    assert [path.name for path in folders] == ["rollouts", "eval", "checkpoints", "model"]
    assert all(path.parent == tmp_path for path in (*files, *folders))


def test_json_is_written_for_people_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1]})
    assert (tmp_path / "a.json").read_text() == '{\n  "b": [\n    1\n  ]\n}\n'
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": [1]}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", {"b": math.nan})

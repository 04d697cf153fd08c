from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.errors import ConfigError, ModelError
from verifine.launch.sweep.begin import SweepPlan, open_sweep, plan_continuation, plan_sweep
from verifine.launch.sweep.folder import SweepFolder, read_sweep
from verifine.launch.sweep.grid import SweepBase, parse_grid
from verifine.launch.sweep.planned import PlannedRun

Rehearse = Callable[[tuple[PlannedRun, ...]], None]


def plan(*words: str, out: Path | None = None) -> SweepPlan:
    return plan_sweep(parse_grid(SweepBase(overrides=("data.task=add",)), words), f"verifine sweep {words}", out)


def begin(planned: SweepPlan, rehearse: Rehearse = lambda _: None) -> SweepFolder:
    with open_sweep(planned, rehearse) as folder:
        return folder


def names(folder: SweepFolder) -> list[str]:
    return [run.name for run in read_sweep(folder).runs]


def test_a_new_sweep_is_tried_and_recorded(tmp_path: Path) -> None:
    tried: list[tuple[str, ...]] = []
    folder = begin(plan("run.seed=0,1", out=tmp_path / "out"), lambda runs: tried.append(tuple(r.name for r in runs)))
    assert tried == [("seed=0", "seed=1")]
    assert folder.path == tmp_path / "out"
    sweep = plan_continuation(folder.path).sweep
    assert sweep == plan("run.seed=0,1").sweep
    assert [run.config.run.seed for run in sweep.runs] == [0, 1]


def test_without_a_folder_it_gets_a_dated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = begin(plan("run.seed=0,1")), begin(plan("run.seed=0,1"))
    assert first.path.parent == Path("sweeps")
    assert first.path.name.startswith("add-2")
    assert first.path != second.path


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise ModelError("no such model")

    with pytest.raises(ModelError):
        begin(plan("run.seed=0,1", out=tmp_path / "out"), refuse)
    assert list(tmp_path.iterdir()) == []


def test_the_same_grid_continues_and_a_larger_one_extends(tmp_path: Path) -> None:
    out, tried = tmp_path / "out", list[str]()
    begin(plan("run.seed=0,1", out=out))
    begin(plan("run.seed=0,1", out=out), lambda runs: tried.extend(run.name for run in runs))
    assert tried == []
    begin(plan("run.seed=0,1,2", out=out), lambda runs: tried.extend(run.name for run in runs))
    assert tried == ["seed=2"]
    assert names(SweepFolder(path=out)) == ["seed=0", "seed=1", "seed=2"]


def test_another_grid_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    begin(plan("run.seed=0,1", out=out))
    before = (out / "sweep.json").read_bytes()
    with pytest.raises(ConfigError, match=r"out: this grid lacks 1 run .*\(seed=0\).*--out"):
        plan("run.seed=1,2", out=out)
    assert (out / "sweep.json").read_bytes() == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    with pytest.raises(ConfigError, match="--out: .* not empty"):
        plan("run.seed=0,1", out=tmp_path)
    with pytest.raises(ConfigError, match="holds no sweep"):
        plan_continuation(tmp_path)


def test_a_folder_left_by_a_kill_before_the_grid_was_written_is_used(tmp_path: Path) -> None:
    for left in (".lock", ".sweep.json.tmp"):
        (tmp_path / left).write_text("{")
    assert names(begin(plan("run.seed=0,1", out=tmp_path))) == ["seed=0", "seed=1"]


def test_two_processes_do_not_continue_one_sweep(tmp_path: Path) -> None:
    begin(plan("run.seed=0,1", out=tmp_path / "out"))
    again = plan_continuation(tmp_path / "out")
    with open_sweep(again, lambda _: None), pytest.raises(ConfigError, match="another process continues this sweep"):
        begin(again)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot be read"), ("[]", "cannot be read"), ('{"format": 1}', "cannot be read"), (None, "update Verifine")],
)
def test_a_record_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    folder = begin(plan("run.seed=0,1", out=tmp_path / "out"))
    later = {**json.loads(folder.record.read_text()), "format": 2}
    folder.record.write_text(json.dumps(later) if content is None else content)
    with pytest.raises(ConfigError, match=rf"sweep.json.*{message}"):
        plan_continuation(folder.path)

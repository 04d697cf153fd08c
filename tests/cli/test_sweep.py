from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from verifine.launch.sweep.begin import open_sweep, plan_sweep
from verifine.launch.sweep.execute import SweepSession
from verifine.launch.sweep.grid import SweepBase, parse_grid
from verifine.launch.sweep.process import SweepOptions
from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunEnded
from verifine.runs.metrics import read_metrics
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model
from verifine.testing.sweeps import FakeTraining

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(verifine: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `verifine sweep` in an empty folder: exit code, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: verifine("sweep", *words)


def train(out: Path, training: FakeTraining, *words: str) -> None:
    """A sweep of the task `add` with runs that need no model."""
    grid = parse_grid(SweepBase(overrides=("data.task=add", "run.steps=3")), words)
    plan = plan_sweep(grid, "verifine sweep add", out)
    with open_sweep(plan, lambda _: None) as folder:
        SweepSession(folder, plan.sweep, SweepOptions(), lambda _: None, launch=training).run()


def test_a_dry_run_lists_the_runs_and_how_long_they_take(sweep: Command) -> None:
    code, out, err = sweep("largest", "algorithm.name=grpo,dapo", "run.seed=0,1,2", "run.minutes=2", "--dry-run")
    assert (code, err) == (0, "")
    first, head, *rows = out.splitlines()
    assert first == "6 runs: 2 variants, 3 seeds; about 12 min 0 s"
    assert head.split() == ["run", "expected", "settings"]
    assert rows[1] == "  dapo-seed=0  2 min 0 s  algorithm.name=dapo run.seed=0"
    assert len(rows) == 6
    assert list(Path.cwd().iterdir()) == []


def test_a_task_stands_for_the_settings_of_the_quickstart(sweep: Command, tmp_path: Path) -> None:
    from verifine.launch.quickstart import MINUTES, WIDE

    code, out, _ = sweep("largest", "run.seed=0,1", "--dry-run", "--json")
    (row,) = map(json.loads, out.splitlines())
    assert (code, row["type"], row["expected_s"]) == (0, "sweep", 2 * 60 * MINUTES)
    assert row["runs"][1] == {
        "run": "seed=1",
        "variant": "grpo",
        "seed": 1,
        "settings": ["run.seed=1"],
        "complete": False,
        "expected_s": 60 * MINUTES,
    }
    # The task and its rate are given once more, so these are refused as the same run.
    _, _, err = sweep(
        "largest", "--variant", "a", "--variant", f"b: optim.learning_rate={WIDE['optim']['learning_rate']}"
    )
    assert "the runs a and b have the same settings" in err


def test_a_folder_with_the_name_of_a_task_is_not_in_its_way(sweep: Command) -> None:
    Path("largest").mkdir()
    assert sweep("largest", "run.seed=0,1", "--dry-run")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to train: give a config file or a task"),
        (["largest"], "nothing varies; give a key several values"),
        (["largest", "algorithm.name=grpo,dap"], "run dap: override algorithm.name=dap: `algorithm.name` is 'dap'"),
        (["nowhere.yaml", "run.seed=0,1"], "nowhere.yaml: there is no such file"),
        ([".", "run.seed=0,1"], ".: a sweep is continued as it is; to add runs to it, give the whole grid and --out ."),
        (["."], ".: this folder holds no sweep"),
        (["largest", "run.seed=0,1", "--out", ".."], "--out: .. is not empty"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_sentence(sweep: Command, words: list[str], message: str) -> None:
    code, out, err = sweep(*words)
    assert (code, out) == (2, "")
    assert err.startswith(f"verifine: {message}")
    assert len(err.splitlines()) == 1
    assert list(Path.cwd().iterdir()) == []


def test_the_page_about_sweeps_shows_what_is_printed(sweep: Command) -> None:
    page = (Path(__file__).parents[2] / "docs/howto/sweep.md").read_text()
    shown = re.search(r"\$ verifine sweep ([^\n]*)\n(verifine: .+?)\n```", page, re.DOTALL)
    assert shown is not None
    code, _, err = sweep(*shown[1].split())
    assert (code, err.split()) == (2, shown[2].split())


def test_a_complete_sweep_is_shown_again(sweep: Command, tmp_path: Path) -> None:
    right = {0: "1100", 1: "1110", 2: "1000"}
    train(tmp_path / "out", FakeTraining(right=lambda config: right[config.run.seed]), "run.seed=0,1,2")
    code, out, err = sweep(tmp_path / "out")
    assert (code, err) == (0, "")
    assert out.startswith("3 runs: 1 variant, 3 seeds; 3 complete\n")
    assert re.search(r"^  grpo +3 +0.00 → 0.50 +0.25 +0.25 to 0.75 +0.50 0.75 0.25 +- +3 ", out, re.MULTILINE)
    assert out.endswith(
        f"\nSaved     {tmp_path / 'out'} (sweep.md, compare.html, compare.svg, compare.png, compare.json, runs/)\n"
    )


def test_compare_shows_a_sweep_that_is_not_complete(verifine: Command, sweep: Command, tmp_path: Path) -> None:
    training = FakeTraining(endings={"dapo-seed=0": RunEnded(status=Status.FAILED, error="memory ran out\nnotes")})
    train(tmp_path / "out", training, "algorithm=grpo,dapo", "run.seed=0,1")
    code, out, err = verifine("compare", tmp_path / "out")
    assert (code, err) == (0, "")
    assert re.search(r"^  dapo +1 of 2 ", out, re.MULTILINE)
    assert "Note: dapo-seed=0: failed after step 1 (memory ran out)." in " ".join(out.split())
    written = [tmp_path / "out" / name for name in ("sweep.md", *(f"compare.{end}" for end in ENDINGS))]
    assert out.endswith("\n".join(map(str, written)) + "\n")
    code, out, _ = verifine("compare", tmp_path / "out", "--json")
    assert json.loads(out)["over_seeds"]["dapo"]["after"]["by_seed"] == {"1": 0.5}
    verifine("compare", tmp_path / "out", "--out", tmp_path / "other")
    assert (tmp_path / "other" / "sweep.md").is_file()


ENDINGS = ("html", "svg", "png", "json")


def test_compare_refuses_a_sweep_without_a_step_and_labels_for_one(verifine: Command, tmp_path: Path) -> None:
    train(tmp_path / "out", FakeTraining(broken=["seed=0", "seed=1"]), "run.seed=0,1")
    code, _, err = verifine("compare", tmp_path / "out")
    assert code == 2
    assert "no run of this sweep has made a step yet" in err
    code, _, err = verifine("compare", tmp_path / "out", "--label", "x")
    assert code == 2
    assert "leave out --label" in err


def test_a_sweep_in_another_process_is_not_continued(sweep: Command, tmp_path: Path) -> None:
    train(tmp_path / "out", FakeTraining(), "run.seed=0,1")
    plan = plan_sweep(parse_grid(SweepBase(overrides=("data.task=add",)), ["run.seed=0,1"]), "", tmp_path / "new")
    with open_sweep(plan, lambda _: None):
        code, _, err = sweep(tmp_path / "new")
    assert code == 2
    assert "another process continues this sweep" in err


@pytest.mark.slow
def test_a_sweep_imports_no_torch(tmp_path: Path) -> None:
    train(tmp_path / "out", FakeTraining(), "run.seed=0,1")
    program = (
        "import sys; from verifine.cli.main import app\n"
        "try: app(sys.argv[1:], standalone_mode=False)\n"
        "finally: print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, "sweep", str(tmp_path / "out"), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers"} & set(ended.stdout.splitlines()[-1].split())


def write_config(folder: Path, steps: int) -> Path:
    rows = [{"messages": {"role": "user", "content": f"say {i}"}, "gt_answer": str(i)} for i in range(20)]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    values = {
        "model": str(save_tiny_model(folder / "base")),
        "data": {"train": str(folder / "train.jsonl")},
        "grader": {"type": "format", "pattern": ".*[a-g].*"},
        "sampling": {"prompts_per_step": 2, "group_size": 4, "max_new_tokens": 8},
        "run": {"steps": steps},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(values))
    return folder / "run.yaml"


def start(*words: str | Path) -> tuple[subprocess.Popen[str], Iterator[dict[str, object]]]:
    """A sweep in a process of its own, and what it prints."""
    command = [sys.executable, "-m", "verifine", "sweep", *map(str, words), "--json", "--skip-check"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, map(json.loads, process.stdout)


def end(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=300)
    return process.returncode


def check_complete(out: Path, steps: int) -> None:
    for seed in (0, 1):
        directory = RunDirectory(path=out / "runs" / f"seed={seed}")
        assert find_status(directory).status is Status.FINISHED
        assert [report.step for report in read_metrics(directory.metrics)] == list(range(1, steps + 1))


@pytest.mark.slow
def test_a_sweep_that_was_killed_goes_on_with_the_run_that_outlived_it(tmp_path: Path) -> None:
    config, out = write_config(tmp_path, steps=60), tmp_path / "out"
    process, rows = start(config, "run.seed=0,1", "--out", out)
    next(row for row in rows if row["type"] == "step")
    process.kill()
    end(process)
    process, rows = start(out)
    told = list(rows)
    assert end(process) == 0
    began = [(row["run"], row["elsewhere"]) for row in told if row["type"] == "run_began"]
    assert began == [("seed=0", True), ("seed=1", False)]
    assert [row["status"] for row in told if row["type"] == "run_over"] == ["finished", "finished"]
    assert told[-1]["code"] == 0
    check_complete(out, 60)


@pytest.mark.slow
def test_an_interrupt_pauses_the_run_and_the_same_command_goes_on(tmp_path: Path) -> None:
    config, out = write_config(tmp_path, steps=80), tmp_path / "out"
    process, rows = start(config, "run.seed=0,1", "--out", out)
    next(row for row in rows if row["type"] == "step")
    process.send_signal(signal.SIGINT)
    last = list(rows)[-1]
    assert end(process) == 130
    assert (last["type"], last["continue"]) == ("done", f"verifine sweep {out} --skip-check")
    directory = RunDirectory(path=out / "runs" / "seed=0")
    assert find_status(directory).status is Status.PAUSED
    assert not (out / "runs" / "seed=1").exists()
    process, rows = start(config, "run.seed=0,1", "--out", out)
    told = list(rows)
    assert end(process) == 0
    assert [(row["run"], row["resumed"]) for row in told if row["type"] == "run_began"] == [
        ("seed=0", True),
        ("seed=1", False),
    ]
    check_complete(out, 80)


@pytest.mark.slow
def test_a_sweep_whose_data_is_missing_is_refused_before_it_begins(sweep: Command, tmp_path: Path) -> None:
    config = write_config(tmp_path, steps=2)
    missing = "gone: data.train=gone.jsonl"
    code, _, err = sweep(config, "run.seed=0,1", "--variant", "base", "--variant", missing, "--out", tmp_path / "out")
    assert code == 4
    assert re.match(r"verifine: run gone-seed=0: .*gone.jsonl", err)
    assert not (tmp_path / "out").exists()

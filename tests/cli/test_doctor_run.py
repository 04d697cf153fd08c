"""`verifine doctor RUN_DIR`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.events import EventSink, RunEnded, TrainingStarted
from verifine.runs.metrics import MetricLog
from verifine.runs.status import Status
from verifine.types import StepReport

Command = Callable[..., tuple[int, str, str]]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def write_run(path: Path, *, clipped: float, ending: str | None = "finished", steps: int = 40) -> Path:
    """A run whose reward rises, and of whose answers so many are cut off."""
    directory = RunDirectory.create(path, "add", NOW)
    write_text(directory.config, dump_config(build_config({"data": {"task": "add"}})))
    events = EventSink(directory.events, lambda: NOW)
    events.emit(TrainingStarted())
    metrics = MetricLog(directory.metrics)
    for step in range(1, steps + 1):
        reward = 0.2 + step / 100
        numbers = {"reward": reward, "completions/clipped_ratio": clipped, "updates": 1.0}
        metrics.append(StepReport(step=step, metrics=numbers))
    if ending is not None:
        events.emit(RunEnded(status=Status(ending)))
    return directory.path


def test_what_stands_out_is_told_with_numbers_and_the_way_out(verifine: Command, tmp_path: Path) -> None:
    code, out, err = verifine("doctor", write_run(tmp_path / "run", clipped=0.6))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "1 problem in 40 steps."
    assert lines[2].startswith("✗ answers_cut_off: 60% of the answers are cut off at sampling.max_new_tokens")
    assert any(line.startswith("    → Raise sampling.max_new_tokens") for line in lines)
    assert lines[-3].split() == ["steps", "1", "to", "10", "steps", "21", "to", "40"]
    assert lines[-2].split() == ["reward", "0.255", "0.505"]


def test_a_run_that_does_well_gets_a_sentence_and_its_numbers(verifine: Command, tmp_path: Path) -> None:
    code, out, _ = verifine("doctor", write_run(tmp_path / "run", clipped=0.0))
    assert code == 0
    assert out.startswith("Nothing stands out in 40 steps.\n\n")
    assert "completions/clipped_ratio" in out


def test_programs_get_json_and_nothing_else(verifine: Command, tmp_path: Path) -> None:
    code, out, err = verifine("doctor", "--json", write_run(tmp_path / "run", clipped=0.6))
    told = json.loads(out)
    assert (code, err, told["steps"]) == (0, "", 40)
    assert [finding["name"] for finding in told["findings"]] == ["answers_cut_off"]
    assert told["findings"][0]["numbers"]["completions/clipped_ratio"] == pytest.approx(0.6)


def test_a_run_without_an_ending_was_killed(verifine: Command, tmp_path: Path) -> None:
    _, out, _ = verifine("doctor", write_run(tmp_path / "run", clipped=0.0, ending=None))
    assert "✗ killed: The run was killed after step 40" in out


def test_a_run_before_its_first_step_has_nothing_to_look_at(verifine: Command, tmp_path: Path) -> None:
    code, out, _ = verifine("doctor", write_run(tmp_path / "run", clipped=0.0, steps=0))
    assert (code, out) == (0, "No step is done yet.\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere",), "there is no such folder"),
        ((".",), "this is not a run directory"),
        (("--online", "run"), "--online checks this machine"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    verifine: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = verifine("doctor", *words)
    assert (code, out) == (2, "")
    assert message in err


def test_looking_at_a_run_needs_no_torch(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", clipped=0.6)
    program = (
        "import sys\n"
        f"sys.argv = ['verifine', 'doctor', {str(run)!r}]\n"
        "from verifine.cli.main import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as ended:\n"
        "    assert not ended.code\n"
        "print(*sorted({'torch', 'transformers', 'matplotlib', 'jinja2'} & set(sys.modules)))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[0] == "1 problem in 40 steps."
    assert ended.stdout.splitlines()[-1] == ""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.metrics import MetricLog
from verifine.types import StepReport

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def compare(verifine: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Runs `verifine compare` in an empty folder: exit code, output, errors."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return lambda *words: verifine("compare", *words)


def write_run(path: Path, algorithm: str, right: str, steps: int = 2) -> Path:
    """A run directory whose final evaluation got the problems right that are `1`."""
    directory = RunDirectory.create(path, "any", datetime(2026, 1, 1, tzinfo=UTC))
    config = build_config({"data": {"task": "add"}, "algorithm": {"name": algorithm}})
    write_text(directory.config, dump_config(config))
    metrics = MetricLog(directory.metrics)
    for step in range(1, steps + 1):
        metrics.append(StepReport(step=step, metrics={"reward": 0.5, "answer_accuracy": 0.5}))
    for name, letters in (("baseline", "0" * len(right)), ("final", right)):
        samples = tuple(
            EvaluatedSample(
                prompt_id=str(number), prompt="", text="", score=float(letter), format_ok=None, answer_ok=letter == "1"
            )
            for number, letter in enumerate(letters)
        )
        write_evaluation(directory.evaluations, Evaluation(name=name, samples=samples))
    return directory.path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path / "a", "grpo", "00000000"), write_run(tmp_path / "b", "dapo", "11111110")]


def test_two_runs_are_compared_and_the_files_named(compare: Command, runs: list[Path], tmp_path: Path) -> None:
    code, out, err = compare(*runs, "--out", tmp_path / "out")
    assert (code, err) == (0, "")
    assert re.search(r"^  algorithm.name +grpo +dapo$", out, re.MULTILINE)
    assert re.search(r"^  dapo +1 +0.00 → 0.88 +0.53 to 0.98 over 8 problems", out, re.MULTILINE)
    assert re.search(r"^  dapo +better, one seed +\+0.88 +8 +0.016 +- +0.016$", out, re.MULTILINE)
    assert "dapo is better than grpo (+0.88" in out
    assert "Note: One seed only: grpo, dapo." in " ".join(out.split())
    written = [tmp_path / "out" / f"compare.{ending}" for ending in ("html", "svg", "png", "json")]
    assert out.endswith("\n".join(map(str, written)) + "\n")
    assert all(path.is_file() for path in written)


def test_without_a_folder_a_new_dated_one_is_made(compare: Command, runs: list[Path]) -> None:
    code, out, _ = compare(runs[0])
    folder = Path(out.splitlines()[-1]).parent
    assert code == 0
    assert re.fullmatch(r"compare-\d{8}-\d{6}", str(folder))
    assert "nothing but the seed, at most" in out
    assert "Better than" not in out


def test_json_is_all_there_is_on_standard_output(compare: Command, runs: list[Path], tmp_path: Path) -> None:
    code, out, err = compare(*runs, "--json")
    assert (code, err) == (0, "")
    numbers = json.loads(out)
    assert [variant["name"] for variant in numbers["variants"]] == ["grpo", "dapo"]
    assert numbers["verdicts"][0]["conclusion"] == "better"
    assert list((tmp_path / "here").iterdir()) == []


def test_json_with_a_folder_writes_the_files_too(compare: Command, runs: list[Path], tmp_path: Path) -> None:
    _, out, _ = compare(*runs, "--json", "--out", tmp_path / "out")
    assert json.loads(out) == json.loads((tmp_path / "out" / "compare.json").read_text())


def test_variants_can_be_given_names(compare: Command, runs: list[Path], tmp_path: Path) -> None:
    out = compare(*runs, "--label", "Ours", "--label", "Theirs", "--out", tmp_path / "out")[1]
    assert "Theirs is better than Ours" in out


def test_a_folder_in_use_is_refused_before_anything_is_read(compare: Command, tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    code, _, err = compare(tmp_path / "nowhere", "--out", tmp_path)
    assert code == 2
    assert "--out" in err
    assert "never overwrites" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["."], "this is not a run directory"),
        (["../a", "../a"], "given twice"),
        (["../a", "../empty"], "../empty: no step is done yet"),
        (["../a", "--label", "x", "--label", "y"], "2 labels for 1 variant (grpo)"),
    ],
)
def test_what_cannot_be_compared_is_said_in_a_sentence(
    compare: Command, runs: list[Path], tmp_path: Path, words: list[str], message: str
) -> None:
    write_run(tmp_path / "empty", "grpo", "1", steps=0)
    code, out, err = compare(*words)
    assert (code, out) == (2, "")
    assert err.startswith("verifine: ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert list((tmp_path / "here").iterdir()) == []


def test_no_run_at_all_is_a_usage_error(compare: Command) -> None:
    code, _, err = compare()
    assert code == 2
    assert "RUN_DIR" in err


def test_help_says_what_a_variant_is(compare: Command) -> None:
    code, out, _ = compare("--help")
    assert code == 0
    assert "Runs that differ only in their seed are one variant." in out


def test_comparing_needs_no_torch_and_numbers_alone_no_matplotlib(runs: list[Path]) -> None:
    program = (
        "import sys; from verifine.cli.main import app; app(sys.argv[1:], standalone_mode=False); print(*sys.modules)"
    )
    command = [sys.executable, "-c", program, "compare", *map(str, runs), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "matplotlib", "jinja2"} & set(ended.stdout.splitlines()[-1].split())

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine.testing import save_tiny_model

Command = Callable[..., tuple[int, str, str]]

SIZES = ("sampling.max_new_tokens=8", "model.precision=float32")


@pytest.fixture
def run_options(tmp_path: Path) -> list[str]:
    """A random model and data of its own; the answers of such a model are never right."""
    data, base = tmp_path / "train.jsonl", save_tiny_model(tmp_path / "base")
    rows = [{"messages": [{"role": "user", "content": f"say {i}"}], "gt_answer": str(i)} for i in range(250)]
    data.write_text("\n".join(map(json.dumps, rows)))
    return [*SIZES, "--dataset", str(data), "--model", str(base)]


@pytest.fixture
def form(tmp_path: Path) -> list[str]:
    """A grader that answers of a random model sometimes please."""
    grader = tmp_path / "grader.json"
    grader.write_text('{"type": "format", "pattern": ".*[a-g].*"}')
    return ["--grader", str(grader)]


@pytest.fixture
def any_text(tmp_path: Path) -> list[str]:
    """A grader that nonsense pleases as much as the right answer."""
    grader = tmp_path / "any.json"
    check = {"type": "string_check", "input": "{{ sample.output_text }}", "reference": "e", "operation": "like"}
    grader.write_text(json.dumps(check))
    return ["--grader", str(grader)]


def test_a_check_tells_what_it_found_and_the_verdict_last(
    verifine: Command, run_options: list[str], form: list[str]
) -> None:
    code, out, err = verifine("check", *run_options, *form)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert "128 answers to 16 prompts at temperature 1" in out
    assert [line for line in lines if line in ("Data", "Base model", "This machine", "Findings")] == [
        "Data", "Base model", "This machine", "Findings",
    ]  # fmt: skip
    assert "→ Raise sampling.max_new_tokens (now 8)" in out
    assert lines[-1].startswith("Verdict: go, with ")


def test_a_no_go_exits_with_4(verifine: Command, run_options: list[str], any_text: list[str]) -> None:
    code, out, err = verifine("check", *run_options, *any_text)
    assert (code, err) == (4, "")
    assert "✗ blocker: The grader cannot tell right from wrong" in out
    assert out.splitlines()[-1].startswith("Verdict: no-go, with ")


def test_json_is_one_object(verifine: Command, run_options: list[str], form: list[str]) -> None:
    code, out, err = verifine("check", *run_options, *form, "--rows", "3", "--samples", "2", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["verdict"] == "go_with_warnings"
    assert (found["sampling"]["prompts"], found["sampling"]["samples"]) == (3, 2)
    assert {finding["severity"] for finding in found["findings"]} <= {"warning", "note"}


def test_json_of_a_no_go_exits_with_4_too(verifine: Command, run_options: list[str], any_text: list[str]) -> None:
    code, out, _ = verifine("check", *run_options, *any_text, "--json")
    assert code == 4
    assert json.loads(out)["verdict"] == "no_go"


def test_a_blocker_in_the_data_is_found_without_the_model(
    verifine: Command, run_options: list[str], tmp_path: Path
) -> None:
    grader = tmp_path / "grader.json"
    check = {"type": "string_check", "input": "{{ sample.output_text }}", "reference": "{{ item.answer }}"}
    grader.write_text(json.dumps({**check, "operation": "eq"}))
    unknown = [*run_options[:-1], "nobody/nothing"]
    code, out, _ = verifine("check", *unknown, "--grader", grader)
    assert code == 4
    assert 'item.answer does not exist (did you mean "gt_answer"?)' in " ".join(out.split())
    assert "... and 245 more" in out
    assert "not asked: fix the findings below first" in out


def test_what_cannot_be_meant_is_refused_as_in_training(verifine: Command, run_options: list[str]) -> None:
    code, _, err = verifine("check", *run_options, "--grader", "answer_number", "sampling.group_sise=4")
    assert code == 2
    assert "group_size" in err


def test_training_in_vain_is_refused_with_the_way_round(
    verifine: Command, run_options: list[str], any_text: list[str], tmp_path: Path
) -> None:
    words = [*run_options, *any_text, "--steps", "1", "--run-dir", str(tmp_path / "run")]
    code, out, err = verifine("train", *words)
    assert code == 4
    assert "Verdict: no-go, with " in out
    assert err.startswith("verifine: the check before training ended with no-go:\n- The grader cannot tell")
    assert "--skip-check" in err
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    assert verifine("train", *words, "--skip-check")[0] == 0
    assert not (tmp_path / "run" / "preflight.json").exists()


@pytest.mark.slow
def test_training_tells_its_check_before_the_first_step(
    verifine: Command, run_options: list[str], form: list[str], tmp_path: Path
) -> None:
    words = [*run_options, *form, "--steps", "1"]
    code, out, _ = verifine("train", *words, "--run-dir", tmp_path / "a", "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    kinds = [row["type"] for row in rows if row["type"] != "stage"]
    assert kinds == ["check", "evaluation", "step", "evaluation", "done"]
    assert next(row for row in rows if row["type"] == "check")["sampling"]["prompts"] == 8
    code, out, _ = verifine("train", *words, "--run-dir", tmp_path / "b")
    assert code == 0
    assert out.index("Verdict: go, with ") < out.index("baseline ")


def test_a_dry_run_asks_nobody(verifine: Command, run_options: list[str]) -> None:
    code, out, _ = verifine("train", *run_options, "--grader", "answer_number", "--dry-run")
    assert code == 0
    assert "Verdict" not in out


def test_the_quickstart_is_checked_unless_told_otherwise(verifine: Command, tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "tiny")
    config_file = base / "config.json"
    large = {"hidden_size": 65536, "intermediate_size": 262144, "num_hidden_layers": 16}
    config_file.write_text(json.dumps({**json.loads(config_file.read_text()), **large}))
    words = ["--model", str(base), "--minutes", "1", "--run-dir", str(tmp_path / "run")]
    code, out, err = verifine("quickstart", *words)
    assert code == 4
    assert "Base model" in out
    assert "ended with no-go" in err

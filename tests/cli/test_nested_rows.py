"""Every place where a user names a field of a row takes a path, from the command line to the end of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from verifine.testing import save_tiny_model

Command = Callable[..., tuple[int, str, str]]

NUMBER: dict[str, Any] = {"type": "number", "reference": "{{ item.reward_model.ground_truth }}"}
TINY = ("model.precision=float32", "sampling.max_new_tokens=4", "sampling.prompts_per_step=2", "sampling.group_size=2")


def verl_row(number: int) -> dict[str, Any]:
    return {
        "data_source": "sums",
        "prompt": [{"role": "user", "content": f"{number} + 1? Answer inside <answer></answer>."}],
        "reward_model": {"style": "rule", "ground_truth": str(number + 1)},
        "extra_info": {"index": number, "answer": f"It is {number + 1}."},
    }


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(verl_row(number)) + "\n" for number in range(24)))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "base")


def write_grader(folder: Path, grader: Mapping[str, Any]) -> Path:
    path = folder / "grader.json"
    path.write_text(json.dumps(grader))
    return path


def in_json(verifine: Command, *words: object) -> dict[str, Any]:
    code, out, err = verifine(*map(str, words), "--json")
    assert code in (0, 4), err
    return dict(json.loads(out.splitlines()[-1]))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_grader_is_tried_on_nested_rows_as_they_are(verifine: Command, rows: Path, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        table = pa.Table.from_pylist([json.loads(line) for line in rows.read_text().splitlines()])
        rows = tmp_path / "train.parquet"
        parquet.write_table(table, rows)
    told = in_json(verifine, "grade", "test", "--grader", write_grader(tmp_path, NUMBER), "--data", rows)
    assert told["scores"]["right answer"]["mean"] == 1


def test_a_preset_finds_the_right_answer_by_a_column_option(verifine: Command, rows: Path) -> None:
    words = ("grade", "test", "--grader", "answer_number", "--data", rows)
    told = in_json(verifine, *words, "--column", "gt_answer=reward_model.ground_truth")
    assert told["scores"]["right answer"]["mean"] == 1
    assert "right answer" not in in_json(verifine, *words)["scores"]


@pytest.mark.parametrize("pair", ["gt_answer", "=reward_model", "item=reward_model", "gt_answer="])
def test_a_column_option_that_is_none_is_refused(verifine: Command, rows: Path, pair: str) -> None:
    code, _, err = verifine("grade", "test", "--grader", "answer_number", "--data", rows, "--column", pair)
    assert code == 2
    assert "column" in err


def test_columns_of_saved_answers_are_those_of_the_run(verifine: Command, tmp_path: Path) -> None:
    code, _, err = verifine("grade", "test", "--rollouts", tmp_path, "--column", "a=b")
    assert code == 2
    assert "--column belongs to --data" in err


def test_rows_bring_answers_of_their_own_by_a_path(verifine: Command, rows: Path, tmp_path: Path) -> None:
    grader = write_grader(tmp_path, NUMBER)
    told = in_json(verifine, "grade", "test", "--grader", grader, "--data", rows, "--answer-field", "extra_info.answer")
    assert told["scores"]["own answer"]["mean"] == 1


def test_the_check_tries_the_nested_right_answer(verifine: Command, rows: Path, model: Path, tmp_path: Path) -> None:
    grader = write_grader(tmp_path, NUMBER)
    found = in_json(verifine, "check", *TINY, "--dataset", rows, "--model", model, "--grader", grader)
    assert found["grading"]["right"]["mean"] == 1
    assert {"right_answer_untried", "incomplete_rows", "constant_reference"}.isdisjoint(
        finding["name"] for finding in found["findings"]
    )


def test_one_nested_right_answer_for_all_rows_is_told(verifine: Command, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "same.jsonl"
    same = [{**verl_row(number), "reward_model": {"ground_truth": "7"}} for number in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in same))
    grader = write_grader(tmp_path, NUMBER)
    found = in_json(verifine, "check", *TINY, "--dataset", data, "--model", model, "--grader", grader)
    assert "constant_reference" in [finding["name"] for finding in found["findings"]]


def test_code_rows_that_cannot_be_run_are_found_before_training(
    verifine: Command, rows: Path, model: Path, tmp_path: Path
) -> None:
    grader = write_grader(tmp_path, {"type": "code", "tests": "reward_model.ground_truth"})
    code, out, _ = verifine("check", *TINY, "--dataset", rows, "--model", model, "--grader", grader, "--json")
    assert code == 4
    findings = {finding["name"]: finding for finding in json.loads(out)["findings"]}
    assert findings["incomplete_rows"]["severity"] == "blocker"
    assert 'the row\'s field "reward_model.ground_truth" cannot be used' in findings["incomplete_rows"]["evidence"]


def test_a_dry_run_asks_a_nested_question(verifine: Command, rows: Path, model: Path) -> None:
    code, out, err = verifine(
        "train", *TINY, "--dataset", rows, "--model", model, "--grader", "answer_number", "--dry-run",
        "data.columns={prompt: 'prompt[0].content', gt_answer: reward_model.ground_truth}",
    )  # fmt: skip
    assert code == 0, err
    assert "+ 1? Answer inside <answer></answer>." in out
    assert "gt_answer: reward_model.ground_truth" in out


def test_an_override_names_one_nested_column(verifine: Command, rows: Path, model: Path) -> None:
    words = ("train", *TINY, "--dataset", rows, "--model", model, "--grader", "answer_number", "--dry-run")
    code, out, err = verifine(*words, "data.columns.gt_answer=reward_model.ground_truth")
    assert code == 0, err
    assert "gt_answer: reward_model.ground_truth" in out


def test_a_nested_map_says_how_to_write_a_path(verifine: Command, rows: Path, model: Path) -> None:
    words = ("train", *TINY, "--dataset", rows, "--model", model, "--grader", "answer_number", "--dry-run")
    code, _, err = verifine(*words, "data.columns.gt_answer.reward_model=ground_truth")
    assert code == 2
    assert "gt_answer: reward_model.ground_truth" in err


def test_a_path_that_leads_nowhere_names_what_is_there(verifine: Command, rows: Path, model: Path) -> None:
    words = ("train", *TINY, "--dataset", rows, "--model", model, "--grader", "answer_number", "--dry-run")
    code, _, err = verifine(*words, "data.columns.gt_answer=reward_model.ground_thruth")
    assert code == 4
    assert (
        'nothing is called "ground_thruth" (did you mean "ground_truth"?) there; there are "style", "ground_truth"'
        in err
    )


def test_an_evaluation_reads_nested_rows_and_shows_the_right_answer(
    verifine: Command, rows: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "answers.jsonl"
    code, _, err = verifine(
        "eval", model, "model.precision=float32", "--data", rows, "--grader", write_grader(tmp_path, NUMBER),
        "--limit", "2", "--max-new-tokens", "4", "--out", out,
    )  # fmt: skip
    assert code == 0, err
    assert [json.loads(line)["gold"] for line in out.read_text().splitlines()] == ["1", "2"]


@pytest.mark.slow
def test_a_run_on_nested_rows_is_trained_resumed_and_graded_again(
    verifine: Command, rows: Path, model: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    code, _, err = verifine(
        "train", *TINY, "--dataset", rows, "--model", model, "--grader", write_grader(tmp_path, NUMBER),
        "--steps", "1", "--run-dir", run, "--skip-check", "data.columns.id=extra_info.index",
    )  # fmt: skip
    assert code == 0, err
    assert verifine("resume", run, "--steps", "2")[0] == 0
    told = in_json(verifine, "grade", "test", "--rollouts", run)
    assert told["agreement"]["same"] == told["agreement"]["count"] > 0

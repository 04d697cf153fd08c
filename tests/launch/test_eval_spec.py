"""What `verifine eval` says where there is no grader, or nothing to ask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.config import build_config
from verifine.errors import ConfigError, DataError
from verifine.launch.eval_spec import EvalSource, find_eval_target, load_eval_spec
from verifine.launch.evaluate import evaluate_models
from verifine.runs.directory import RunDirectory
from verifine.runs.environment import describe_environment
from verifine.runs.run_config import write_run_config

HOW = "give --grader, one of answer_exact, answer_number, boxed, code, think_answer_tags, or the path of a file with a "


def write_rows(path: Path, count: int) -> str:
    path.write_text("".join(json.dumps({"prompt": f"say {i}", "gt_answer": "1"}) + "\n" for i in range(count)))
    return str(path)


def finished(folder: Path, rows: int, own_grader: bool = False) -> str:
    """A run directory with what an evaluation looks at first."""
    config = build_config(
        {
            "data": {"train": write_rows(folder / "train.jsonl", rows)},
            "sampling": {"prompts_per_step": 2},
            "grader": None if own_grader else {"type": "answer"},
        }
    )
    directory = RunDirectory(path=folder / "run")
    directory.model.mkdir(parents=True)
    write_run_config(directory, config, replace(describe_environment(), own_grader=own_grader))
    return str(directory.path)


def refusal(given: str, data: str | None = None) -> str:
    target = find_eval_target(given)
    with pytest.raises(ConfigError) as caught:
        evaluate_models([target], load_eval_spec(target, EvalSource(data=data)))
    return str(caught.value)


def test_a_model_without_a_grader_is_told_the_presets_and_nothing_of_runs(tmp_path: Path) -> None:
    told = refusal("tiny", write_rows(tmp_path / "good.jsonl", 3))
    assert told == f"no grader; {HOW}grader"


def test_a_run_that_a_program_graded_is_told_why(tmp_path: Path) -> None:
    run = finished(tmp_path, rows=30, own_grader=True)
    assert refusal(run) == f"{run} was graded by a Python program's own function, which is not saved; {HOW}grader"


def test_a_run_that_held_nothing_out_is_told_what_to_give(tmp_path: Path) -> None:
    run = finished(tmp_path, rows=19)
    with pytest.raises(DataError) as caught:
        load_eval_spec(find_eval_target(run), EvalSource())
    assert str(caught.value) == (
        f"{run} held no problems out (with fewer than 20 rows, a run trains on all of them); give a file of problems "
        "to ask with --data"
    )
    given = EvalSource(data=write_rows(tmp_path / "ask.jsonl", 3))
    assert len(load_eval_spec(find_eval_target(run), given).inputs.held_out) == 3


def test_a_task_without_held_out_problems_is_told_the_setting() -> None:
    with pytest.raises(DataError, match="no problems of add to ask, because data.eval_size is 0; set it to 1 or more"):
        load_eval_spec(find_eval_target("tiny"), EvalSource(task="add"), ["data.eval_size=0"])

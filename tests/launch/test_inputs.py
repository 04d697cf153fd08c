from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from verifine import RunConfig
from verifine.config import build_config, load_config
from verifine.data import summarize_data
from verifine.errors import DataError
from verifine.launch.inputs import load_inputs
from verifine.launch.session import train
from verifine.runs.directory import RunDirectory
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model
from verifine.types import Message


def write_csv(path: Path, rows: int) -> Path:
    path.write_text("question,answer\n" + "".join(f"say {index},{index}\n" for index in range(rows)))
    return path


def config_of(**data: Any) -> RunConfig:
    return build_config({"data": data, "sampling": {"prompts_per_step": 2}})


def test_columns_and_system_prompt_are_those_of_training_and_held_out_data(tmp_path: Path) -> None:
    inputs = load_inputs(
        config_of(
            train=str(write_csv(tmp_path / "train.csv", 5)),
            eval=str(write_csv(tmp_path / "eval.csv", 4)),
            eval_size=3,
            columns={"prompt": "question", "gt_answer": "answer"},
            system_prompt="Be brief.",
        )
    )
    assert (len(inputs.train), len(inputs.held_out)) == (5, 3)
    for example in (inputs.train[0], inputs.held_out[0]):
        assert example.messages == (
            Message(role="system", content="Be brief."),
            Message(role="user", content="say 0"),
        )
        assert example.item == {"gt_answer": "0"}


def test_what_is_held_out_is_not_trained_on_even_where_rows_repeat(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"say {index % 40}"}) + "\n" for index in range(200)))
    inputs = load_inputs(config_of(train=str(path)))
    summary = summarize_data(inputs.train, inputs.held_out, is_carved_out=True)
    assert (summary.train_rows, summary.held_out_rows) == (180, 20)
    assert summary.duplicates.count == 180 - 36
    assert summary.overlap.count == 0


def test_a_task_says_how_long_its_answers_are_and_files_get_a_default(tmp_path: Path) -> None:
    assert load_inputs(build_config({"data": {"task": "largest"}})).answer_tokens == 16
    train = write_csv(tmp_path / "train.csv", 5)
    assert load_inputs(config_of(train=str(train), columns={"prompt": "question"})).answer_tokens == 256


def test_a_run_on_a_mapped_csv_file_writes_a_config_that_can_be_run_again(tmp_path: Path) -> None:
    config = build_config(
        {
            "model": {"name": str(save_tiny_model(tmp_path / "base"))},
            "data": {
                "train": str(write_csv(tmp_path / "train.csv", 24)),
                "columns": {"prompt": "question", "gt_answer": "answer"},
            },
            "sampling": {"prompts_per_step": 2, "group_size": 2, "max_new_tokens": 4},
            "run": {"directory": str(tmp_path / "run"), "steps": 2},
        }
    )
    seen: list[str] = []

    def grade(sample: dict[str, Any], item: dict[str, Any]) -> float:
        seen.append(item["gt_answer"])
        return float(item["gt_answer"] in sample["output_text"])

    run = train(config, grader=grade)
    assert run.summary.progress.step == 2
    assert set(seen) <= {str(index) for index in range(24)}
    assert load_config(run.directory.config).data == config.data


def test_prompts_that_do_not_fit_are_reported_before_training(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"prompt": "x" * (250 if i % 2 else 5)}) + "\n" for i in range(18)))
    config = build_config(
        {
            "model": {"name": str(save_tiny_model(tmp_path / "base"))},
            "data": {"train": str(path)},
            "sampling": {"prompts_per_step": 2, "max_new_tokens": 8},
            "run": {"directory": str(tmp_path / "run")},
        }
    )
    with pytest.raises(DataError) as caught:
        train(config, grader=lambda _sample, _item: 0.0)
    (told,) = str(caught.value).splitlines()
    assert "train.jsonl line 2: the prompt has" in told
    assert told.endswith("(and 8 more rows)")
    assert find_status(RunDirectory(path=tmp_path / "run")).status is Status.FAILED
    assert not (tmp_path / "run" / "metrics.jsonl").exists()

"""`verifine grade test --rollouts`: the saved answers of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from verifine.config import build_config, dump_config
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import describe_environment, write_environment
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.types import FinishReason, Grade, Group, Json, Prompt, Rollout

Command = Callable[..., tuple[int, str, str]]

TEXT, GOLD = "{{ sample.output_text }}", "{{ item.gt_answer }}"


def check(operation: str = "eq", reference: str = GOLD, text: str = TEXT) -> dict[str, Json]:
    return {"type": "string_check", "name": "check", "input": text, "reference": reference, "operation": operation}


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def write_rows(path: Path, *items: Mapping[str, Json]) -> Path:
    rows = [{"messages": [{"role": "user", "content": f"question {n}"}], **item} for n, item in enumerate(items)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def tried(verifine: Command, *words: object) -> dict[str, Any]:
    code, out, err = verifine("grade", "test", *map(str, words), "--json")
    assert (code, err) == (0, "")
    return dict(json.loads(out))


def group(prompt_id: str, *answers: tuple[str, float | None]) -> Group:
    prompt = Prompt(id=prompt_id, token_ids=(1,), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7,),
            behaviour_logprobs=(-0.5,),
            text=text,
            finish_reason=FinishReason.STOP,
        )
        for text, _ in answers
    )
    return Group(prompt=prompt, rollouts=rollouts).graded([Grade(score=score) for _, score in answers])


def write_run(path: Path, data: Mapping[str, object], grader: object, steps: Sequence[Sequence[Group]]) -> Path:
    directory = RunDirectory.create(path, "any", datetime(2026, 1, 1, tzinfo=UTC))
    config = build_config({"data": data, "grader": grader, "sampling": {"prompts_per_step": 2}})
    write_text(directory.config, dump_config(config))
    for step, groups in enumerate(steps, start=1):
        written = [
            GradedGroup(
                group=each,
                prompt=f"prompt {each.prompt.id}",
                rewards=[0.0] * len(each.rollouts),
                advantages=[0.0] * len(each.rollouts),
            )
            for each in groups
        ]
        write_rollouts(directory.rollouts, step, written)
    return path


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Six answers: to rows 1 and 2, to row 1 again an epoch later, and to held-out row 1, whose answer is another."""
    train = write_rows(tmp_path / "train.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    held_out = write_rows(tmp_path / "eval.jsonl", {"gt_answer": "Lima"})
    steps = [
        [group("1", ("Paris", 1.0), ("paris", 0.0)), group("2", ("Rome", 1.0), ("It is Rome", 0.0))],
        [group("1@1", ("Paris", 1.0)), group("held-out/1", ("Lima", 1.0))],
    ]
    return write_run(tmp_path / "run", {"train": str(train), "eval": str(held_out)}, check(), steps)


def test_a_run_that_a_function_graded_is_not_rescored_with_a_grader_that_did_not(
    verifine: Command, run_dir: Path
) -> None:
    environment = replace(describe_environment(), own_grader=True)
    write_environment(RunDirectory.open(run_dir).environment, environment)
    code, _, errors = verifine("grade", "test", "--rollouts", run_dir)
    assert code == 2
    assert "graded by a Python program's own function" in errors
    assert verifine("grade", "test", "--rollouts", run_dir, "--grader", "answer_exact")[0] == 0


def test_a_run_is_rescored_with_its_own_grader_on_its_own_rows(verifine: Command, run_dir: Path) -> None:
    told = tried(verifine, "--rollouts", run_dir)
    assert list(told["scores"]) == ["this grader", "recorded"]
    assert told["agreement"] == {
        "count": 6,
        "same": 6,
        "mean_difference": 0.0,
        "newly_unscorable": 0,
        "newly_scorable": 0,
        "largest": [],
    }
    assert (told["graded"], told["left_out"]) == (6, 0)
    assert told["scores"]["this grader"]["mean"] == told["scores"]["recorded"]["mean"] == pytest.approx(4 / 6)


def test_a_run_is_rescored_with_another_grader(verifine: Command, run_dir: Path, tmp_path: Path) -> None:
    spec = write(tmp_path / "loose.json", check("ilike"))
    told = tried(verifine, "--rollouts", run_dir, "--grader", spec)
    assert (told["agreement"]["same"], told["agreement"]["mean_difference"]) == (4, pytest.approx(2 / 6))
    assert told["agreement"]["largest"] == [
        {"step": 1, "prompt_id": "1", "sample": 1, "recorded": 0.0, "score": 1.0, "text": "paris"},
        {"step": 1, "prompt_id": "2", "sample": 1, "recorded": 0.0, "score": 1.0, "text": "It is Rome"},
    ]
    _, out, _ = verifine("grade", "test", "--rollouts", run_dir, "--grader", spec)
    assert "4 of 6 answers (66.7%) have the score that was recorded." in out
    assert "On average the new score is 0.333 higher." in out
    assert "  0.00 -> 1.00  step 1, 1, sample 1  paris\n" in out


def test_saved_answers_whose_rows_are_missing_are_left_out_and_counted(
    verifine: Command, run_dir: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "other.jsonl", {"gt_answer": "Paris"})
    told = tried(verifine, "--rollouts", run_dir, "--data", data)
    assert (told["graded"], told["left_out"]) == (4, 2)
    _, out, _ = verifine("grade", "test", "--rollouts", run_dir, "--data", data)
    assert "2 saved answers were left out: their rows are not in this dataset." in out


def test_a_dataset_that_has_none_of_the_rows_is_refused(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    run = write_run(tmp_path / "run", {"train": str(data)}, check(), [[group("77", ("Paris", 1.0))]])
    code, _, err = verifine("grade", "test", "--rollouts", run, "--data", data)
    assert code == 4
    assert 'the first is to the row "77"' in err


def test_a_run_of_a_built_in_task_brings_grader_and_rows(verifine: Command, tmp_path: Path) -> None:
    from verifine.tasks import load_task

    row = load_task("add", seed=0, train_size=1, held_out_size=64).train[0]
    answer = f"<answer>{row.item['gt_answer']}</answer>"
    run = write_run(tmp_path / "run", {"task": "add"}, None, [[group(row.id, (answer, 1.0), ("?", 0.0))]])
    told = tried(verifine, "--rollouts", run)
    assert (told["grader"]["type"], told["agreement"]["count"], told["agreement"]["same"]) == ("answer", 2, 2)


def test_a_run_whose_rows_are_gone_asks_for_them(verifine: Command, run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").unlink()
    code, _, err = verifine("grade", "test", "--rollouts", run_dir)
    assert code == 4
    assert "train.jsonl does not exist" in err
    assert "with --data" in err


def test_a_run_graded_by_a_program_asks_for_a_grader(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"}, {"gt_answer": "Rome"})
    run = write_run(tmp_path / "run", {"train": str(data)}, None, [[group("1", ("Paris", 1.0))]])
    code, _, err = verifine("grade", "test", "--rollouts", run)
    assert code == 2
    assert "give --grader" in err


def test_a_run_that_has_not_begun_says_so(verifine: Command, tmp_path: Path) -> None:
    data = write_rows(tmp_path / "d.jsonl", {"gt_answer": "Paris"})
    code, _, err = verifine(
        "grade", "test", "--rollouts", write_run(tmp_path / "run", {"train": str(data)}, check(), [])
    )
    assert code == 2
    assert "holds no rollouts" in err

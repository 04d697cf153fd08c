from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from verifine import train
from verifine.config import build_config
from verifine.insights.held_out import evaluation_numbers
from verifine.runs.evaluations import read_evaluation
from verifine.testing import save_tiny_model

Command = Callable[..., tuple[int, str, str]]

SIZES = ("sampling.max_new_tokens=8", "model.precision=float32")
LETTERS = '{"type": "format", "pattern": ".*[a-g].*"}'
"""What answers of a random model sometimes match."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "base")


@pytest.fixture
def questions(tmp_path: Path) -> list[str]:
    """Data and a grader that answers of a random model sometimes please."""
    data, grader = tmp_path / "ask.jsonl", tmp_path / "letters.json"
    rows = [{"messages": [{"role": "user", "content": f"say {i}"}], "gt_answer": str(i)} for i in range(24)]
    data.write_text("\n".join(map(json.dumps, rows)))
    grader.write_text(LETTERS)
    return ["--data", str(data), "--grader", str(grader), *SIZES]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one step, which three of its 30 rows were held out of."""
    folder = tmp_path_factory.mktemp("trained")
    data, path = folder / "train.jsonl", folder / "run"
    rows = [{"messages": [{"role": "user", "content": f"count {i}"}], "gt_answer": str(i)} for i in range(30)]
    data.write_text("\n".join(map(json.dumps, rows)))
    values = {
        "model": {"name": str(save_tiny_model(folder / "base")), "precision": "float32"},
        "data": {"train": str(data)},
        "grader": json.loads(LETTERS),
        "sampling": {"prompts_per_step": 2, "group_size": 2, "max_new_tokens": 8},
        "run": {"steps": 1, "directory": str(path)},
    }
    train(build_config(values), check=False)
    return path


def test_a_model_is_asked_every_row_and_told_with_intervals(
    verifine: Command, base: Path, questions: list[str]
) -> None:
    code, out, err = verifine("eval", base, *questions)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"24 problems of {questions[1]}, one greedy answer each"
    assert lines[2].split() == [str(base), "95", "%", "interval"]
    assert [line.split()[:2] for line in lines[3:5]] == [["Format", "accuracy"], ["Average", "reward"]]
    assert " to " in lines[3]
    assert sum(line.startswith("say ") for line in lines) == 3
    assert lines[-1].startswith("Evaluated in ")


def test_several_answers_give_pass_at_k_and_are_written_line_by_line(
    verifine: Command, base: Path, questions: list[str], tmp_path: Path
) -> None:
    out_file = tmp_path / "answers.jsonl"
    words = ["--samples", "3", "--temperature", "0.8", "--limit", "5", "--json", "--out", out_file]
    code, out, _ = verifine("eval", base, *questions, "evaluation.pass_score=1", *words)
    assert code == 0
    told = json.loads(out)
    assert told["asked"] == f"5 problems of {questions[1]}"
    assert told["verdict"] is None
    [model] = told["models"]
    assert (model["problems"], model["samples"], model["temperature"]) == (5, 15, 0.8)
    rows = [json.loads(line) for line in out_file.read_text().splitlines()]
    assert [(row["prompt_id"], row["sample"]) for row in rows[:4]] == [
        (rows[0]["prompt_id"], 0), (rows[0]["prompt_id"], 1), (rows[0]["prompt_id"], 2), (rows[3]["prompt_id"], 0),
    ]  # fmt: skip
    assert {row["model"] for row in rows} == {str(base)}
    assert sum(row["score"] for row in rows) / 15 == pytest.approx(model["reward"])
    solved = {row["prompt_id"] for row in rows if row["score"] == 1}
    assert model["pass_at"]["3"] == len(solved) / 5
    assert verifine("eval", base, *questions, "--out", out_file)[0] == 2


def test_the_same_command_gives_the_same_numbers(verifine: Command, base: Path, questions: list[str]) -> None:
    def numbers() -> dict[str, object]:
        told = json.loads(verifine("eval", base, *questions, "--samples", "2", "--limit", "4", "--json")[1])
        del told["models"][0]["seconds"]
        return dict(told)

    assert numbers() == numbers()


def test_a_model_beside_itself_is_no_better(verifine: Command, base: Path, questions: list[str]) -> None:
    code, out, _ = verifine("eval", base, *questions, "--against", base)
    assert code == 0
    told = f"There is no evidence that {base} differs from {base}: +0.00 (p = 1.000). Of 24 problems, 0 got better"
    assert told in " ".join(out.split())
    assert out.count(str(base)) >= 2, "a path is not broken, however long it is"


def test_two_models_are_asked_the_same_and_one_may_be_better(
    verifine: Command, base: Path, questions: list[str], tmp_path: Path
) -> None:
    other = save_tiny_model(tmp_path / "other", seed=3)
    told = json.loads(verifine("eval", base, *questions, "--against", other, "--json", "--limit", "12")[1])
    assert [model["model"] for model in told["models"]] == [str(base), str(other)]
    verdict = told["verdict"]
    first, second = (model["reward"] for model in told["models"])
    assert (verdict["measure"], verdict["problems"]) == ("reward", 12)
    assert verdict["difference"] == pytest.approx(first - second)
    # one greedy answer each, right or wrong: the sign test
    assert verdict["won"] - verdict["lost"] == pytest.approx(12 * verdict["difference"])


def test_a_run_is_asked_what_it_held_out_as_it_was_then(verifine: Command, run: Path) -> None:
    final = read_evaluation(run / "eval" / "final.json")
    told = json.loads(verifine("eval", run, "--json")[1])
    assert told["asked"] == f"3 problems of {run} (held out)"
    [model] = told["models"]
    numbers = evaluation_numbers(final)
    assert {name: model[name] for name in numbers} == numbers


def test_a_run_can_be_asked_something_else_by_another_grader(
    verifine: Command, run: Path, base: Path, questions: list[str], tmp_path: Path
) -> None:
    (tmp_path / "any.json").write_text('{"type": "format", "pattern": ".*"}')
    words = [*questions[:2], "--grader", tmp_path / "any.json", "--second-grader", tmp_path / "letters.json"]
    code, out, err = verifine("eval", run, *words, "--against", base, "--limit", "6", "--samples", "2")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"6 problems of {questions[1]}, 2 answers each at temperature 1"
    assert "Average score, second grader" in out
    told = json.loads(verifine("eval", run, *words, "--limit", "6", "--json")[1])
    assert told["models"][0]["reward"] == 1.0
    assert told["models"][0]["second_score"] < 1.0


def test_a_task_brings_its_problems_and_its_grader(verifine: Command, base: Path) -> None:
    told = json.loads(verifine("eval", base, "--task", "add", "--limit", "2", "--json", "model.precision=float32")[1])
    assert told["asked"] == "2 problems of add"
    assert told["models"][0]["answer_accuracy"] == 0.0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to ask nobody: give --data with --grader, or --task, or a run directory"),
        (["--data", "a.jsonl", "--task", "add"], "--data and --task exclude each other; give one of them"),
        (["--task", "ad"], "`data.task` is 'ad', but must be 'largest'"),
        (["--task", "add", "--temperature", "0.5"], "raise samples, or remove it"),
        (
            ["--task", "add", "--out", "missing/x.jsonl"],
            "--out: there is no folder missing; create it, or give another",
        ),
        (["--task", "add", "--limit", "2"], 'no model "nobody"'),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_hint(verifine: Command, words: list[str], message: str) -> None:
    code, _, err = verifine("eval", "nobody", *words)
    assert code in (2, 3)
    assert message in err


def test_data_without_a_grader_and_a_run_without_a_model_are_told(
    verifine: Command, base: Path, questions: list[str], run: Path, tmp_path: Path
) -> None:
    code, _, err = verifine("eval", base, *questions[:2])
    assert (code, "give --grader" in err) == (2, True)
    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    shutil.rmtree(unfinished / "model")
    code, _, err = verifine("eval", unfinished)
    assert (code, "no model/ yet" in err) == (2, True)

from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifine.config.graders import PythonGraderConfig, StringCheckGraderConfig
from verifine.errors import VerifineError
from verifine.service.child import ChildLimits, Children
from verifine.service.jobs.file_question import FileQuestion, ask_child

GRADER = StringCheckGraderConfig(
    type="string_check", name="exact", input="{{ sample.output_text }}", reference="{{ item.answer }}", operation="eq"
)


def question(tmp_path: Path, rows: int, grader: StringCheckGraderConfig | PythonGraderConfig = GRADER) -> FileQuestion:
    path = tmp_path / "train.jsonl"
    path.write_text(
        "\n".join(json.dumps({"messages": [{"role": "user", "content": str(n)}], "answer": "4"}) for n in range(rows))
    )
    return FileQuestion(train=path, eval=None, eval_size=64, seed=0, columns={}, system_prompt=None, grader=grader)


def test_a_process_of_its_own_counts_the_rows_that_are_left_to_train_on(tmp_path: Path, children: Children) -> None:
    assert ask_child(children, question(tmp_path, rows=50)).rows == 45


def test_what_it_finds_comes_back(tmp_path: Path, children: Children) -> None:
    answer = ask_child(children, question(tmp_path, rows=0))
    assert answer.param == "training_file"
    assert str(tmp_path / "train.jsonl") in answer.message


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path, children: Children) -> None:
    with pytest.raises(VerifineError, match="longer than"):
        ask_child(children, question(tmp_path, rows=5), ChildLimits(wall_s=0.001, memory_bytes=4 << 30))

"""Rows without a question: what is said of them, and that the advice can be pasted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path

import pytest

from verifine.config import load_config
from verifine.data import read_examples
from verifine.data.columns import advise_columns, as_options, as_setting
from verifine.errors import DataError


def advised(fields: list[str], columns: Mapping[str, str] | None = None) -> Mapping[str, str] | None:
    """The map in the advice, as a shell and the command line read it; None: there is none."""
    _, given, text = advise_columns(fields, columns or {}, as_setting).partition("for example ")
    if not given:
        return None
    return load_config(None, ["data.train=a.jsonl", shlex.split(text)[0]]).data.columns


def problem(path: Path, *rows: object) -> str:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    with pytest.raises(DataError) as caught:
        read_examples(path)
    return str(caught.value)


QUESTION = {"question": "2 + 2?", "answer": "4"}
ADVICE = "data.columns='{prompt: question, gt_answer: answer}'"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["question", "answer"], {"prompt": "question", "gt_answer": "answer"}),
        (["solution", "problem"], {"prompt": "problem", "gt_answer": "solution"}),
        (["id", "Target", "Query"], {"prompt": "Query", "gt_answer": "Target"}),
        (["question", "label", "gt_answer"], {"prompt": "question"}),
        (["level", "statement"], {"prompt": "level"}),
        (["it's: 1", "answer"], {"prompt": "it's: 1", "gt_answer": "answer"}),
        (["7", "label"], {"prompt": "7", "gt_answer": "label"}),
        (["gt_answer"], None),
        (["answer", "id"], None),
        ([], None),
    ],
)
def test_the_advised_map_works_in_a_shell(fields: list[str], expected: Mapping[str, str] | None) -> None:
    assert advised(fields) == expected


def test_the_advice_keeps_the_columns_that_were_given() -> None:
    columns = {"gt_answer": "total", "id": "question"}
    assert advised(["question", "total", "answer", "text"], columns) == {"prompt": "text", **columns}


def test_options_are_quoted_for_a_shell() -> None:
    written = as_options({"prompt": "the question", "gt_answer": "answer"})
    assert shlex.split(written) == ["--column", "prompt=the question", "--column", "gt_answer=answer"]


def test_a_question_that_no_row_has_is_told_once_with_the_fields_and_the_fix(tmp_path: Path) -> None:
    told = problem(tmp_path / "q.jsonl", *[QUESTION] * 12, {**QUESTION, "level": 3})
    assert len(told.splitlines()) == 1
    assert told.startswith(f'{tmp_path / "q.jsonl"} line 1: "messages" is missing; ')
    assert f'The fields are "question", "answer"; say which one is asked, for example {ADVICE}' in told
    assert told.endswith(" (and 12 more rows)")


def test_a_line_that_cannot_be_read_is_listed_beside_it(tmp_path: Path) -> None:
    lines = problem(tmp_path / "q.jsonl", QUESTION, "{", QUESTION).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{tmp_path / 'q.jsonl'} line {n}" for n in (1, 2)]
    assert lines[0].endswith(" (and 1 more row)")


def test_rows_that_lack_what_others_have_are_listed_each(tmp_path: Path) -> None:
    told = problem(tmp_path / "q.jsonl", {"prompt": "2 + 2?"}, QUESTION, {"prompt": "1?"}, QUESTION).splitlines()
    assert [line.partition(": ")[0] for line in told] == [f"{tmp_path / 'q.jsonl'} line {number}" for number in (2, 4)]

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import read_examples
from verifine.errors import DataError
from verifine.types import Message

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def write(folder: Path, data: bytes) -> Path:
    path = folder / "train.csv"
    path.write_bytes(data)
    return path


def test_every_value_is_text(tmp_path: Path) -> None:
    path = write(tmp_path, b"prompt,gt_answer,level,note\n2 + 2?,4,1.50,\n")
    (example,) = read_examples(path)
    assert example.messages == (Message(role="user", content="2 + 2?"),)
    assert example.item == {"gt_answer": "4", "level": "1.50", "note": ""}


def test_a_value_between_quotes_may_hold_commas_marks_and_line_ends(tmp_path: Path) -> None:
    path = write(tmp_path, b'prompt,gt_answer\n"a, ""b""\nc\r\nd",1\n"e",2\n')
    first, second = read_examples(path)
    assert first.messages[0].content == 'a, "b"\nc\r\nd'
    assert second.messages[0].content == "e"


def test_rows_are_called_by_the_line_they_begin_on(tmp_path: Path) -> None:
    path = write(tmp_path, b'prompt,b\n\n"1\n1",x\n\n\n2,x\n"3\n",x\n4,x\n')
    examples = read_examples(path)
    assert [example.id for example in examples] == ["3", "7", "8", "10"]
    assert [example.place for example in examples][-1] == f"{path} line 10"


def test_all_bad_rows_are_told_and_those_after_them_are_read(tmp_path: Path) -> None:
    path = write(tmp_path, b'prompt,b\n1\n"2"x,y\n3,x\n"4\n\xff",x\n"",x\n5,x\n6,x,y\n7,x,y\n8,x,y\n')
    with pytest.raises(DataError) as caught:
        read_examples(path)
    told = str(caught.value).splitlines()
    assert [line.partition(": ")[0].rpartition(" ")[2] for line in told[:-1]] == ["2", "3", "6", "7", "9"]
    assert told[-1] == "and 2 more"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_byte_order_mark_line_ends_and_a_missing_last_one_do_not_matter(tmp_path: Path, line_end: str) -> None:
    text = line_end.join(["\ufeffprompt,gt_answer", "a,1", "b,2"])
    examples = read_examples(write(tmp_path, text.encode()))
    assert [(each.messages[0].content, each.item) for each in examples] == [
        ("a", {"gt_answer": "1"}),
        ("b", {"gt_answer": "2"}),
    ]


def test_chats_and_tools_are_json_text(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    tools = [{"type": "function", "function": {"name": "add", "parameters": None}}]
    path = tmp_path / "train.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["messages", "tools"], [json.dumps(chat), json.dumps(tools)], [json.dumps(chat), ""]])
    first, second = read_examples(path)
    assert first.messages == second.messages == (Message(role="system", content="s"), Message(role="user", content="u"))
    assert first.tools == ({"type": "function", "function": {"name": "add"}},)
    assert second.tools == ()


def test_columns_are_mapped_and_a_missing_one_is_told_once(tmp_path: Path) -> None:
    path = write(tmp_path, b"question,answer\na,1\nb,2\n")
    examples = read_examples(path, {"prompt": "question", "gt_answer": "answer"})
    assert [each.item for each in examples] == [{"gt_answer": "1"}, {"gt_answer": "2"}]
    with pytest.raises(DataError, match='"Question".*"question".*data.columns.*prompt.*"answer"') as caught:
        read_examples(path, {"prompt": "Question"})
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_value_may_be_longer_than_the_csv_modules_own_limit(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    (example,) = read_examples(write(tmp_path, b"prompt,b\nx," + b"y" * 500_000 + b"\n"))
    assert example.item == {"b": "y" * 500_000}
    assert csv.field_size_limit() == limit


@given(st.lists(st.tuples(texts.filter(str.strip), texts), min_size=1, max_size=8))
def test_what_pythons_writer_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "train.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("prompt", "gt_answer"), *rows])
    assert [(each.messages[0].content, each.item["gt_answer"]) for each in read_examples(path)] == rows

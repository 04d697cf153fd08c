from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from verifine.data import read_examples
from verifine.errors import DataError
from verifine.types import Example, Message

ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
        "strict": True,
    },
}


def read(
    folder: Path, *rows: Mapping[str, Any], columns: Mapping[str, str] | None = None, system_prompt: str | None = None
) -> list[Example]:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return list(read_examples(path, columns, system_prompt))


def problem(folder: Path, row: Mapping[str, Any], columns: Mapping[str, str] | None = None) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, row, columns=columns)
    return str(caught.value).replace(f"{folder}/", "")


def test_a_prompt_becomes_one_user_message_and_is_no_item_field(tmp_path: Path) -> None:
    (example,) = read(tmp_path, {"prompt": "2 + 2?", "gt_answer": "4"})
    assert example.messages == (Message(role="user", content="2 + 2?"),)
    assert example.item == {"gt_answer": "4"}


def test_a_prompt_beside_messages_is_an_item_field_as_in_openais_form(tmp_path: Path) -> None:
    (example,) = read(tmp_path, {"messages": [{"role": "user", "content": "a"}], "prompt": [1]})
    assert (example.messages[0].content, example.item) == ("a", {"prompt": [1]})


def test_mapped_columns_get_our_names_and_the_others_keep_theirs(tmp_path: Path) -> None:
    row = {"question": "2 + 2?", "answer": "4", "level": 1, "qid": "q7"}
    columns = {"prompt": "question", "gt_answer": "answer", "id": "qid"}
    (example,) = read(tmp_path, row, columns=columns)
    assert example.messages[0].content == "2 + 2?"
    assert example.item == {"gt_answer": "4", "id": "q7", "level": 1}
    assert example.id == "q7"


def test_a_column_may_be_several_fields_and_names_may_be_swapped(tmp_path: Path) -> None:
    columns = {"prompt": "q", "question": "q", "a": "b", "b": "a"}
    (example,) = read(tmp_path, {"q": "2 + 2?", "a": 1, "b": 2}, columns=columns)
    assert example.item == {"question": "2 + 2?", "a": 2, "b": 1}


def test_a_chat_may_be_mapped_as_well(tmp_path: Path) -> None:
    row = {"prompt": [{"role": "user", "content": "a"}], "fns": [ADD]}
    (example,) = read(tmp_path, row, columns={"messages": "prompt", "tools": "fns"})
    assert (example.messages[0].content, example.tools, example.item) == ("a", (ADD,), {})


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        (
            {"question": "a", "answr": "b"},
            {"prompt": "question", "gt_answer": "answer"},
            'there is no "answer" (did you mean "answr"?), which data.columns wants for gt_answer; there are '
            '"question", "answr"',
        ),
        (
            {"q": "a", "answer": "b", "gt_answer": "c"},
            {"prompt": "q", "gt_answer": "answer"},
            '"gt_answer" is there already, and data.columns fills it from "answer"; give one of them another name, for '
            "example data.columns='{prompt: q, gt_answer: answer, other_gt_answer: gt_answer}' (in a config file, ",
        ),
        (
            {"q": "a", "prompt": "b"},
            {"prompt": "q"},
            '"prompt" is there already, and data.columns fills it from "q"; give one of them another name',
        ),
        (
            {"messages": [{"role": "user", "content": "a"}], "q": "b"},
            {"prompt": "q"},
            '"messages" is there, so data.columns cannot give a "prompt" as well; remove one of them',
        ),
        ({}, {"prompt": "q"}, 'there is no "q", which data.columns wants for prompt; there are none'),
        (
            {f"column {number}": 1 for number in range(25)},
            {"prompt": "q"},
            'there is no "q", which data.columns wants for prompt; there are "column 0", ',
        ),
    ],
)
def test_a_map_that_does_not_fit_is_refused(
    tmp_path: Path, row: Mapping[str, Any], columns: Mapping[str, str], expected: str
) -> None:
    assert problem(tmp_path, row, columns).startswith(f"train.jsonl line 1: {expected}")


def test_the_advice_for_a_hidden_field_works(tmp_path: Path) -> None:
    row = {"q": "a", "answer": "b", "gt_answer": "c", "item": 1}
    columns = {"prompt": "q", "gt_answer": "answer", "other_gt_answer": "gt_answer", "my_item": "item"}
    (example,) = read(tmp_path, row, columns=columns)
    assert example.item == {"gt_answer": "b", "other_gt_answer": "c", "my_item": 1}


def test_a_system_prompt_goes_before_every_chat_that_has_none(tmp_path: Path) -> None:
    user = {"role": "user", "content": "a"}
    chats = [[user], [{"role": "system", "content": "own"}, user], [{"role": "developer", "content": "own"}, user]]
    examples = read(tmp_path, *({"messages": chat} for chat in chats), {"prompt": "a"}, system_prompt="Be brief.")
    assert [example.messages[0] for example in examples] == [
        Message(role="system", content="Be brief."),
        Message(role="system", content="own"),
        Message(role="developer", content="own"),
        Message(role="system", content="Be brief."),
    ]
    assert [len(example.messages) for example in examples] == [2, 2, 2, 2]


def test_openais_rows_are_read_as_they_are(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "a"}], "tools": [ADD], "reference": {"answer": [1, 2]}}
    (example,) = read(tmp_path, row)
    assert example.tools == (ADD,)
    assert example.item == {"reference": {"answer": [1, 2]}}


@pytest.mark.parametrize("tools", [None, []])
def test_no_tools_are_none(tmp_path: Path, tools: object) -> None:
    (example,) = read(tmp_path, {"prompt": "a", "tools": tools})
    assert (example.tools, example.item) == ((), {})


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ({"name": "f", "returns": {}}, '"tools[0].function" has the field "returns"; it may have name, description, '),
        ({"name": "f" * 65}, '"tools[0].function.name" must be 1 to 64 letters'),
        ({"name": 1}, '"tools[0].function.name" must be 1 to 64 letters'),
        ({"name": "f", "description": 1}, '"tools[0].function.description" is a number; it must be text'),
        ({"name": "f", "strict": "yes"}, '"tools[0].function.strict" is text; it must be true or false'),
        ({"name": "f", "parameters": None}, '"tools[0].function.parameters" is null; it must be a JSON schema'),
        ({"name": "f", "parameters": {"properties": []}}, '"tools[0].function.parameters" must be the JSON schema of'),
        ("f", '"tools[0].function" is text; a tool is {"type": "function"'),
    ],
)
def test_a_function_that_cannot_be_called_is_refused(tmp_path: Path, function: object, expected: str) -> None:
    told = problem(tmp_path, {"prompt": "a", "tools": [{"type": "function", "function": function}]})
    assert told.startswith(f"train.jsonl line 1: {expected}")


def test_the_seed_systems_rows_of_mathematics_and_code_are_read(tmp_path: Path) -> None:
    asked = {"role": "user", "content": "Add the numbers."}
    cases = {"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"], "fn_name": "add"}
    mathematics, code = read(tmp_path, {"messages": asked, "gt_answer": "3"}, {"messages": asked, "test_cases": cases})
    assert mathematics.messages == code.messages == (Message(role="user", content="Add the numbers."),)
    assert (mathematics.item, code.item) == ({"gt_answer": "3"}, {"test_cases": cases})


@pytest.mark.parametrize("cases", [None, "assert add(1, 2) == 3", ["assert True"], {"assert": ["x"]}, {}])
def test_test_cases_of_another_form_are_the_graders_own_matter(tmp_path: Path, cases: object) -> None:
    (example,) = read(tmp_path, {"prompt": "a", "test_cases": cases})
    assert example.item == {"test_cases": cases}


def test_a_message_field_that_is_null_is_none(tmp_path: Path) -> None:
    (example,) = read(tmp_path, {"messages": [{"role": "user", "content": "a", "name": None}]})
    assert example.messages == (Message(role="user", content="a"),)

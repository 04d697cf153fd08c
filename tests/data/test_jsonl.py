from __future__ import annotations

import json
from pathlib import Path

import pytest

from verifine.data import read_examples
from verifine.errors import DataError
from verifine.types import Example, Message

QUESTION = {"messages": [{"role": "user", "content": "2 + 2?"}]}


def write(folder: Path, *lines: object) -> Path:
    path = folder / "train.jsonl"
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    path.write_bytes(text.encode())
    return path


def problem(path: Path) -> str:
    """The error without the folder."""
    with pytest.raises(DataError) as caught:
        read_examples(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def messages(*turns: object) -> dict[str, object]:
    return {"messages": list(turns)}


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def test_fields_beside_the_messages_are_the_item(tmp_path: Path) -> None:
    row = {
        "messages": [{"role": "system", "content": "Be brief."}, user("2 + 2?")],
        "gt_answer": "4",
        "tests": [1, None],
    }
    assert list(read_examples(write(tmp_path, row))) == [
        Example(
            id="1",
            messages=(Message(role="system", content="Be brief."), Message(role="user", content="2 + 2?")),
            item={"gt_answer": "4", "tests": [1, None]},
        )
    ]


def test_one_message_need_not_be_a_list(tmp_path: Path) -> None:
    (example,) = read_examples(write(tmp_path, {"messages": user("2 + 2?"), "gt_answer": "4"}))
    assert example.messages == (Message(role="user", content="2 + 2?"),)


def test_text_parts_are_joined(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "2 + "}, {"type": "text", "text": "2?"}]
    (example,) = read_examples(write(tmp_path, messages(user(parts))))
    assert example.messages[0].content == "2 + 2?"


@pytest.mark.parametrize("role", ["user", "tool", "system", "developer"])
def test_every_role_but_the_assistant_may_come_last(tmp_path: Path, role: str) -> None:
    turns = [user("a"), {"role": "assistant", "content": "b"}, {"role": role, "content": "c"}]
    (example,) = read_examples(write(tmp_path, messages(*turns)))
    assert [turn.role for turn in example.messages] == ["user", "assistant", role]


def test_blank_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "", QUESTION, "  \t", QUESTION)
    assert [example.id for example in read_examples(path)] == ["2", "4"]


def test_byte_order_mark_windows_line_ends_and_a_missing_last_one_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    line = json.dumps(QUESTION).encode()
    path.write_bytes(b"\xef\xbb\xbf" + line + b"\r\n" + line)
    assert [example.id for example in read_examples(path)] == ["1", "2"]


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(messages(user("a\u2028b")), ensure_ascii=False))
    assert read_examples(path)[0].messages[0].content == "a\u2028b"


def test_a_whole_character_written_as_two_escapes_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, r'{"messages": [{"role": "user", "content": "\ud83d\ude00"}]}')
    assert read_examples(path)[0].messages[0].content == "😀"


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (["a", "b", 3], ["a", "b", "3"]),
        (["a", "b", "a"], ["1", "2", "3"]),  # not unique
        ([1, "1", 2], ["1", "2", "3"]),  # not unique as text
        (["2", "3", None], ["1", "2", "3"]),  # one has none, and its line number is another's id
        (["a", True, "b"], ["1", "2", "3"]),
        (["a", "", "b"], ["1", "2", "3"]),
        (["a", "a@1", "b"], ["1", "2", "3"]),  # a@1 is a drawn in epoch 1
        (["x@y.org", "z", "a@1b"], ["x@y.org", "z", "a@1b"]),
    ],
)
def test_ids_are_the_rows_own_where_they_tell_all_rows_apart(
    tmp_path: Path, given: list[object], ids: list[str]
) -> None:
    path = write(tmp_path, *({**QUESTION, "id": each} for each in given))
    examples = read_examples(path)
    assert [example.id for example in examples] == ids
    assert [example.item["id"] for example in examples] == given


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            {"gt_answer": "4"},
            '"messages" is missing; every row needs a list of chat messages, or a text called "prompt"',
        ),
        ({"messages": None}, '"messages" is null; it must be a list of chat messages'),
        ({"messages": "hi"}, '"messages" is text; it must be a list of chat messages'),
        ({"messages": 3}, '"messages" is a number; it must be a list of chat messages'),
        ({"messages": []}, '"messages" is empty; give it at least one user message'),
        (messages("hi"), '"messages[0]" is text; it must be an object with role and content'),
        (messages({"content": "a"}), '"messages[0].role" is missing; a message is {"role": ..., "content": ...}'),
        (messages(user("a"), {"role": "user"}), '"messages[1].content" is missing'),
        (
            messages({"role": "usr", "content": "a"}),
            '"messages[0].role" is "usr" (did you mean "user"?); it must be one of system, user, assistant',
        ),
        (messages({"role": "human", "content": "a"}), '"messages[0].role" is "human"; it must be one of system, user'),
        (messages({"role": 1, "content": "a"}), '"messages[0].role" is a number; it must be one of system, user'),
        (messages(user(None)), '"messages[0].content" is null; it must be text, or a list of text parts'),
        (messages(user({"text": "a"})), '"messages[0].content" is an object; it must be text'),
        (messages(user([{"type": "image_url"}])), '"messages[0].content[0]" is no text part; only'),
        (messages(user(["a"])), '"messages[0].content[0]" is no text part; only'),
        (
            messages({"role": "user", "content": "a", "weight": 1}),
            '"messages[0]" has the field "weight"; a message has role, content, name, tool_calls or tool_call_id',
        ),
        (
            messages(user("a"), {"role": "assistant", "content": "b"}),
            '"messages[1]" is the assistant\'s answer, but the model is to write that itself; drop the last message',
        ),
        ("[]", "a list, not an object; every line must be one"),
        ("null", "null, not an object; every line must be one"),
        (
            "{",
            "not JSON (column 2: Expecting property name enclosed in double quotes); every line must be one",
        ),
        ('{"a": 1} 2', "not JSON (column 10: Extra data); every line"),
        ('{"messages": "a', "not JSON (column 14: Unterminated string starting at)"),
        ('{"x": NaN}', "NaN is not a JSON number; write null or leave the field out"),
        ('{"x": -Infinity}', "-Infinity is not a JSON number"),
        ('{"x": 1e999}', "the number 1e999 is too large"),
        ('{"x": ' + "1" * 5000 + "}", f"the number {'1' * 40}... has 5000 digits; write it as text"),
        ('{"x": {"a": 1, "b": 2, "a": 3}}', 'the key "a" stands twice in one object; keep one of them'),
        (r'{"x": ["\ud83d"]}', r"\ud83d is half of a character (a lone surrogate); write the whole character"),
        (r'{"\uDE00": 1}', r"\ude00 is half of a character"),
        ('{"x": ' + "[" * 99 + "{}" + "]" * 99 + "}", "nested more than 100 levels deep"),
        ('{"x": ' + "[" * 100 + "]" * 100 + "}", "nested more than 100 levels deep"),
        ('{"x": ' * 100_000, "nested more than 100 levels deep"),
    ],
)
def test_problem_is_told_with_its_line_and_the_way_out(tmp_path: Path, line: object, expected: str) -> None:
    told = problem(write(tmp_path, QUESTION, line, QUESTION))
    assert told.startswith(f"train.jsonl line 2: {expected}")
    assert len(told.splitlines()) == 1


def test_nesting_at_the_limit_is_read(tmp_path: Path) -> None:
    nested = json.loads("[" * 99 + "]" * 99)
    (example,) = read_examples(write(tmp_path, {**QUESTION, "x": nested}))
    assert example.item["x"] == nested


def test_many_brackets_side_by_side_are_no_nesting(tmp_path: Path) -> None:
    (example,) = read_examples(write(tmp_path, {**QUESTION, "x": [[]] * 500}))
    assert example.item["x"] == [[]] * 500


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(json.dumps(QUESTION).encode() + b'\n{"x": "\xe9"}\n')
    assert problem(path) == "train.jsonl line 2: byte 8 is not UTF-8; save the file as UTF-8"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = problem(write(tmp_path, "null", QUESTION, "{", {"messages": []}))
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "train.jsonl line 1",
        "train.jsonl line 3",
        "train.jsonl line 4",
    ]


@pytest.mark.parametrize(("count", "last"), [(5, "train.jsonl line 5: "), (6, "and 1 more"), (40, "and 35 more")])
def test_only_the_first_five_problems_are_told_and_the_rest_counted(tmp_path: Path, count: int, last: str) -> None:
    told = problem(write(tmp_path, *["null"] * count)).splitlines()
    assert len(told) == min(count, 6)
    assert told[-1].startswith(last)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_file_without_examples_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(text)
    assert problem(path).startswith("train.jsonl holds no examples")


def test_a_missing_file_is_told_with_one_of_a_similar_name(tmp_path: Path) -> None:
    write(tmp_path, QUESTION)
    assert problem(tmp_path / "trian.jsonl") == (
        'trian.jsonl does not exist (did you mean "train.jsonl"?); check the path'
    )
    assert problem(tmp_path / "zzz") == "zzz does not exist; check the path"
    with pytest.raises(DataError, match=r"no folder .*nowhere"):
        read_examples(tmp_path / "nowhere" / "train.jsonl")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_examples(tmp_path)

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from verifine.data import read_examples
from verifine.data.messages import parse_messages
from verifine.data.rows import RowError
from verifine.types import Message, ToolCall

ASKED = {"role": "user", "content": "How warm is it in Oslo?"}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "7 degrees"}
AGAIN = {"role": "user", "content": "And in Bonn?"}


def call(name: str = "weather", arguments: Any = '{"city": "Oslo"}', id_: str | None = "call_1") -> dict[str, Any]:
    ids = {} if id_ is None else {"id": id_}
    return {**ids, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: Any, content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **fields}


def read(*turns: Any) -> tuple[Message, ...]:
    return parse_messages(list(turns))


def problem(*turns: Any) -> str:
    with pytest.raises(RowError) as caught:
        parse_messages(list(turns))
    return str(caught.value)


OSLO = ToolCall(id="call_1", name="weather", arguments={"city": "Oslo"})


def test_openais_form_is_read_with_its_arguments_decoded() -> None:
    assert read(ASKED, calling(call()), RESULT, AGAIN) == (
        Message(role="user", content="How warm is it in Oslo?"),
        Message(role="assistant", content="", tool_calls=(OSLO,)),
        Message(role="tool", content="7 degrees", tool_call_id="call_1"),
        Message(role="user", content="And in Bonn?"),
    )


@pytest.mark.parametrize(
    ("arguments", "decoded"),
    [
        (
            '{"city": "Oslo", "days": [1, 2.5], "deep": {"a": null}}',
            {"city": "Oslo", "days": [1, 2.5], "deep": {"a": None}},
        ),
        ({"city": "Oslo"}, {"city": "Oslo"}),
        ("{}", {}),
        ("", {}),
        (None, {}),
        (' {"city":"\\u00d8rsta"} ', {"city": "Ørsta"}),
    ],
)
def test_arguments_may_be_json_text_an_object_or_nothing(arguments: Any, decoded: dict[str, Any]) -> None:
    messages = read(ASKED, calling(call(arguments=arguments)), RESULT)
    assert messages[1].tool_calls[0].arguments == decoded


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            '{"city": Oslo}',
            '.arguments" is text that is not JSON (column 10: Expecting value); write the arguments as ',
        ),
        ("{'city': 'Oslo'}", '.arguments" is text that is not JSON (column 2: '),
        ('["Oslo"]', '.arguments" is a list as JSON text; it must be an object with the arguments by name'),
        ('"{\\"city\\": \\"Oslo\\"}"', '.arguments" is text as JSON text: it was encoded twice; it must be an object'),
        (["Oslo"], '.arguments" is a list; it must be an object'),
        (7, '.arguments" is a number; it must be an object'),
    ],
)
def test_arguments_that_are_no_object_are_refused(arguments: Any, told: str) -> None:
    assert f'"messages[1].tool_calls[0].function{told}' in problem(ASKED, calling(call(arguments=arguments)), RESULT)


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        (
            [{"name": "weather", "arguments": {}}],
            '[0]" has the field "name"; it belongs inside function; a call is {"id"',
        ),
        (["weather"], '[0]" is text; a call is {"id"'),
        ([{"id": "1", "type": "custom", "function": {"name": "f"}}], '[0].type" must be "function"'),
        ([{"id": 1, "type": "function", "function": {"name": "f"}}], '[0].id" is a number; it must be text'),
        ([{"id": "1", "type": "function"}], '[0].function" is missing; a call is'),
        ([{"id": "1", "function": {"arguments": "{}"}}], '[0].function.name" is missing; name the function'),
        ([{"id": "1", "function": {"name": "f", "args": "{}"}}], '[0].function" has the field "args"; it has name and'),
        ({"id": "1"}, '" is an object; it must be a list'),
        ("weather", '" is text; it must be a list'),
    ],
)
def test_a_call_in_another_form_is_refused_with_the_right_one(calls: Any, told: str) -> None:
    assert f'"messages[1].tool_calls{told}' in problem(ASKED, {**calling(), "tool_calls": calls}, RESULT)


def test_parallel_calls_are_answered_in_any_order() -> None:
    both = calling(call(id_="a"), call(id_="b", arguments='{"city": "Bonn"}'), content="Let me look.")
    results = [{"role": "tool", "tool_call_id": id_, "content": id_} for id_ in ("b", "a")]
    messages = read(ASKED, both, *results, AGAIN)
    assert messages[1].content == "Let me look."
    assert [each.id for each in messages[1].tool_calls] == ["a", "b"]
    assert [each.tool_call_id for each in messages[2:4]] == ["b", "a"]


def test_ids_may_be_used_again_in_a_later_turn() -> None:
    turn = [calling(call()), RESULT]
    assert len(read(ASKED, *turn, *turn, AGAIN)) == 6


def test_calls_and_results_without_ids_belong_together_in_their_order() -> None:
    result = {"role": "tool", "content": "7 degrees"}
    messages = read(ASKED, calling(call(id_=None), call(id_=None)), result, result)
    assert [message.tool_call_id for message in messages[2:]] == [None, None]


def test_the_older_form_is_read_as_a_call_and_its_result() -> None:
    old = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    messages = read(ASKED, old, {"role": "function", "name": "weather", "content": "7 degrees"}, AGAIN)
    assert messages[1].tool_calls == (ToolCall(name="weather", arguments={"city": "Oslo"}),)
    assert messages[2] == Message(role="tool", content="7 degrees", name="weather")


def test_calls_that_a_text_contains_need_no_form() -> None:
    written = {"role": "assistant", "content": '<tool_call>{"name": "weather"}</tool_call>'}
    messages = read(ASKED, written, {"role": "tool", "content": "7 degrees"})
    assert messages[2] == Message(role="tool", content="7 degrees")


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([ASKED, {"role": "tool", "content": "7"}], '"messages[1]" is the result of a tool, but no call before it is '),
        ([ASKED, calling(call()), RESULT, RESULT], '"messages[3]" is a second result of the call "call_1"'),
        (
            [ASKED, calling(call()), {**RESULT, "tool_call_id": "call_2"}],
            '"messages[2].tool_call_id" is "call_2", but the turn before it has no call with this id (it has call_1)',
        ),
        ([ASKED, RESULT], "has no call with this id (it has no call with an id)"),
        (
            [ASKED, calling(call()), AGAIN],
            '"messages[1].tool_calls[0]" ("call_1") has no result; a message of the role ',
        ),
        (
            [ASKED, calling(call(), call(id_="call_2")), RESULT],
            '"messages[1].tool_calls[1]" ("call_2") has no result',
        ),
        ([ASKED, calling(call(), call()), RESULT], '"messages[1].tool_calls[1].id" is "call_1" again'),
        ([ASKED, calling(call())], '"messages[1]" calls a tool, but the model is to write that itself; drop the last '),
        ([{**ASKED, "tool_calls": [call()]}], '"messages[0].tool_calls" is in a message of the role user; only the '),
        ([{**ASKED, "function_call": {"name": "f"}}], '"messages[0].function_call" is in a message of the role user'),
        ([{**ASKED, "tool_call_id": "a"}], '"messages[0].tool_call_id" is in a message of the role user; it belongs '),
        (
            [ASKED, calling(call(), function_call={"name": "f"}), RESULT],
            '"messages[1]" has both tool_calls and function_call; keep tool_calls',
        ),
        (
            [ASKED, calling(), AGAIN],
            '"messages[1].content" is null; it must be text, or a list of text parts; only a turn that calls ',
        ),
        (
            [{"role": "user", "content": None}],
            '"messages[0].content" is null; it must be text, or a list of text parts; only a turn that calls ',
        ),
        ([{"role": "user"}], '"messages[0].content" is missing; a message is {"role": ..., "content": ...}'),
        ([{"content": "a"}], '"messages[0].role" is missing'),
    ],
)
def test_a_history_that_no_model_would_see_is_refused(turns: Sequence[Any], told: str) -> None:
    assert told in problem(*turns)


def test_names_and_reasoning_are_read() -> None:
    thought = {"role": "assistant", "content": "7 degrees.", "reasoning_content": "Oslo is cold."}
    messages = read({**ASKED, "name": "ada"}, thought, AGAIN)
    assert messages[0].name == "ada"
    assert messages[1].reasoning == "Oslo is cold."


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_has_several_names(field: str) -> None:
    assert read(ASKED, {"role": "assistant", "content": "7", field: "so"}, AGAIN)[1].reasoning == "so"


@pytest.mark.parametrize(
    ("turn", "told"),
    [
        ({**ASKED, "name": 7}, '"messages[0].name" is a number; it must be text'),
        (
            {**ASKED, "thinking": "so"},
            '"messages[0].thinking" is in a message of the role user; only the assistant has ',
        ),
        (
            {**ASKED, "weight": 1},
            '"messages[0]" has the field "weight"; a message has role, content, name, tool_calls or ',
        ),
        (
            {"role": "assistant", "content": "a", "reasoning": "b", "thinking": "c"},
            "has different texts in reasoning and ",
        ),
    ],
)
def test_other_fields_are_refused_by_name(turn: dict[str, Any], told: str) -> None:
    assert told in problem(turn, AGAIN)


def test_what_servers_write_into_every_message_counts_as_absent() -> None:
    empty: dict[str, Any] = {
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": [],
        "name": None,
    }
    assert read(ASKED, {"role": "assistant", "content": "7", **empty}, AGAIN)[1] == Message(
        role="assistant", content="7"
    )


HISTORY: list[Any] = [
    ASKED,
    calling(call(), call(id_="b", arguments='{"days": 2}')),
    RESULT,
    {**RESULT, "tool_call_id": "b"},
]


def test_a_history_is_the_same_after_it_was_on_disk(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"messages": [*HISTORY, AGAIN]}) + "\n")
    (example,) = read_examples(tmp_path / "train.jsonl")
    assert example.messages == read(*HISTORY, AGAIN)


def test_a_history_has_a_fingerprint_of_its_own_and_plain_chats_keep_theirs(tmp_path: Path) -> None:
    other = [ASKED, calling(call(arguments='{"city": "Rome"}')), RESULT, AGAIN]
    chats = [[ASKED, calling(call()), RESULT, AGAIN], other, [ASKED]]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    fingerprints = read_examples(tmp_path / "train.jsonl").fingerprints
    assert len(set(fingerprints)) == 3
    # The held-out rows of existing runs depend on it.
    plain = hashlib.blake2b(b'[[["user","How warm is it in Oslo?"]],[]]', digest_size=8)
    assert fingerprints[2] == int.from_bytes(plain.digest())


@pytest.mark.parametrize("as_text", [True, False])
def test_parquet_has_the_same_history(as_text: bool, tmp_path: Path) -> None:
    chats: list[list[Any]] = [[*HISTORY, AGAIN], [{**ASKED, "name": "ada"}]]
    column: list[Any] = [json.dumps(chat) for chat in chats] if as_text else chats
    pyarrow.parquet.write_table(pyarrow.table({"messages": column}), tmp_path / "train.parquet")
    examples = list(read_examples(tmp_path / "train.parquet"))
    assert [example.messages for example in examples] == [parse_messages(chat) for chat in chats]


def test_arguments_in_structs_lose_the_fields_of_other_rows(tmp_path: Path) -> None:
    chats = [[ASKED, calling(call(arguments=arguments)), RESULT] for arguments in ({"city": "Oslo"}, {"days": 2})]
    pyarrow.parquet.write_table(pyarrow.table({"messages": chats}), tmp_path / "train.parquet")
    found = [example.messages[1].tool_calls[0].arguments for example in read_examples(tmp_path / "train.parquet")]
    assert found == [{"city": "Oslo"}, {"days": 2}]

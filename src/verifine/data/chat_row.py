"""Turns the fields of one row into the chat that the model answers and the item that its grader reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.data.columns import ColumnsWriter, advise_columns, rename
from verifine.data.field_path import open_json
from verifine.data.kinds import kind_of
from verifine.data.messages import parse_messages
from verifine.data.rows import MissingQuestionError, RowError
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.tools import parse_tools, without_nulls
from verifine.types import Json, Message

_SYSTEM_ROLES = ("system", "developer")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowRules:
    """How the rows of one dataset are read."""

    columns: Mapping[str, str]
    """The dataset's column for each of our fields; other columns keep their names."""
    system_prompt: str | None
    """Added to every chat that has no system message; None: nothing is added."""
    is_table: bool
    """See `RowSource.is_table`."""
    write_columns: ColumnsWriter
    """How a column map is written where the reader's caller takes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRow:
    """A row that can be asked."""

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Json], ...]
    item: Mapping[str, Json]


def parse_row(fields: Mapping[str, Json], rules: RowRules) -> ChatRow:
    """The reserved fields `messages` (or, without it, `prompt`) and `tools`, checked; everything else is the item.

    Raises:
        RowError: the message names the field and how to fix it.
    """
    row = rename(fields, rules.columns, rules.write_columns)
    if "messages" in row and "prompt" in rules.columns:
        raise RowError('"messages" is there, so data.columns cannot give a "prompt" as well; remove one of them')
    asked = "messages" if "messages" in row else "prompt"
    if asked not in row:
        raise MissingQuestionError(
            '"messages" is missing; every row needs a list of chat messages, or a text called "prompt"'
            f"{advise_columns(fields, rules.columns, rules.write_columns)}"
        )
    tools = _structure(row, "tools", rules)
    item = {field: value for field, value in row.items() if field not in (asked, "tools")}
    _check_test_cases(item.get("test_cases"))
    return ChatRow(
        messages=_with_system_prompt(_messages(row, asked, rules), rules.system_prompt),
        tools=parse_tools(without_nulls(tools) if rules.is_table else tools),
        item=item,
    )


def _messages(row: Mapping[str, Json], asked: str, rules: RowRules) -> tuple[Message, ...]:
    prompt = row.get("prompt")
    chat = _structure(row, "messages", rules) if asked == "messages" else _chat_in(prompt)
    if asked == "messages" or chat is not None:
        # The structs of a table have the fields of all rows.
        is_struct = rules.is_table and not isinstance(row[asked], str)
        return parse_messages(without_nulls(chat) if is_struct else chat, asked)
    if not isinstance(prompt, str):
        raise RowError(f'"prompt" is {kind_of(prompt)}; it must be text, or a list of chat messages')
    if not prompt.strip():
        raise RowError('"prompt" is empty; write what is asked, or remove the row')
    return (Message(role="user", content=prompt),)


def _chat_in(prompt: Json) -> Json:
    """The chat that a prompt is, or holds as JSON text; None: it is a text to ask as it is."""
    if isinstance(prompt, list | dict):
        return prompt
    turns = open_json(prompt)
    is_chat = isinstance(turns, list) and bool(turns) and all(_is_message(turn) for turn in turns)
    return turns if is_chat else None


def _is_message(turn: Json) -> bool:
    return isinstance(turn, dict) and "role" in turn and ("content" in turn or "tool_calls" in turn)


def _structure(row: Mapping[str, Json], field: str, rules: RowRules) -> Json:
    """A list or object, which may be written as JSON text."""
    value = row.get(field)
    if not isinstance(value, str) or not (rules.is_table or value.lstrip().startswith(("[", "{"))):
        return value
    if not value.strip() and field == "tools":  # an empty cell of a CSV file
        return None
    try:
        return parse_json(value)
    except JsonError as error:
        place = f"column {error.column}: " if error.column is not None else ""
        raise RowError(f'"{field}" is text that is not JSON ({place}{error}); write it as JSON') from error


def _with_system_prompt(messages: tuple[Message, ...], system_prompt: str | None) -> tuple[Message, ...]:
    if system_prompt is None or any(message.role in _SYSTEM_ROLES for message in messages):
        return messages
    return (Message(role="system", content=system_prompt), *messages)


def _check_test_cases(value: Json) -> None:
    """Checks that test cases of the form {inputs, outputs} are pairs; other forms are left to the grader."""
    if not isinstance(value, dict) or not {"inputs", "outputs"} & set(value):
        return
    lengths = []
    for field in ("inputs", "outputs"):
        cases = value.get(field)
        if not isinstance(cases, list):
            kind = kind_of(cases) if field in value else "missing"
            raise RowError(f'"test_cases.{field}" is {kind}; it must be a list')
        lengths.append(len(cases))
    if lengths[0] != lengths[1]:
        raise RowError(
            f'"test_cases" pairs inputs with outputs, but there are {lengths[0]} and {lengths[1]}; give each input '
            "the output that is right"
        )
    if not lengths[0]:
        raise RowError('"test_cases" is without any case; give at least one, or every answer would pass')

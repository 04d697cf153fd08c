"""Checks the chat of one row and turns it into Messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from verifine.data.kinds import kind_of
from verifine.data.rows import RowError
from verifine.data.suggestion import did_you_mean
from verifine.data.tool_calls import check_results, parse_tool_calls
from verifine.types import Json, Message, Role, ToolCall

ROLES: tuple[str, ...] = get_args(Role)

REASONING_FIELDS = ("reasoning_content", "reasoning", "thinking")
"""What servers and chat templates call the assistant's thoughts."""

_OLD_TOOL_ROLE = "function"
"""OpenAI's name for the role `tool` before there were ids of calls."""

_FIELDS = ("role", "content", "name", "tool_calls", "function_call", "tool_call_id", *REASONING_FIELDS)

_OTHER_PROGRAMS_NAMES = {"from": "role", "value": "content", "text": "content", "author": "role"}


def parse_messages(value: Json, field: str = "messages") -> tuple[Message, ...]:
    """The chat in a row's `field`: a list of messages in OpenAI's form, or a single one.

    Raises:
        RowError: the message names the field and how to fix it.
    """
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list):
        raise RowError(f'"{field}" is {kind_of(value)}; it must be a list of chat messages')
    if not turns:
        raise RowError(f'"{field}" is empty; give it at least one user message')
    messages = tuple(_message(turn, f"{field}[{index}]") for index, turn in enumerate(turns))
    last = messages[-1]
    if last.role == "assistant":
        what = "calls a tool" if last.tool_calls else "is the assistant's answer"
        home = "reference" if last.tool_calls else "gt_answer"
        raise RowError(
            f'"{field}[{len(messages) - 1}]" {what}, but the model is to write that itself; '
            f"drop the last message, and put a known answer into a field of its own, such as {home}"
        )
    check_results(messages, field)
    return messages


def _message(turn: Json, where: str) -> Message:
    if not isinstance(turn, dict):
        raise RowError(f'"{where}" is {kind_of(turn)}; it must be an object with role and content')
    for field, value in turn.items():
        # A table writes null where a message has no such field, and servers write null or an empty list.
        if field not in _FIELDS and value is not None and value != []:
            raise RowError(f'"{where}" has the field "{field}"; {_advise(field, turn)}')
    if "role" not in turn:
        raise RowError(f'"{where}.role" is missing; a message is {{"role": ..., "content": ...}}')
    role = _role(turn["role"], f"{where}.role")
    calls = parse_tool_calls(turn, role, where)
    return Message(
        role=role,
        content=_content(turn, calls, where),
        name=_text(turn, "name", where) or None,
        reasoning=_reasoning(turn, role, where),
        tool_calls=calls,
        tool_call_id=_tool_call_id(turn, role, where),
    )


def _advise(field: str, turn: Mapping[str, Json]) -> str:
    meant = _OTHER_PROGRAMS_NAMES.get(field)
    if meant is not None and meant not in turn:
        return f'here it is called "{meant}"'
    return f"a message has {', '.join(_FIELDS[:4])} or tool_call_id, so drop it"


def _role(value: Json, where: str) -> Role:
    if not isinstance(value, str):
        raise RowError(f'"{where}" is {kind_of(value)}; it must be one of {", ".join(ROLES)}')
    if value == _OLD_TOOL_ROLE:
        return "tool"
    if value not in ROLES:
        hint = did_you_mean(value, ROLES)
        raise RowError(f'"{where}" is "{value[:40]}"{hint}; it must be one of {", ".join(ROLES)}')
    return cast("Role", value)


def _content(turn: Mapping[str, Json], calls: tuple[ToolCall, ...], where: str) -> str:
    value, place = turn.get("content"), f"{where}.content"
    if value is None and calls:
        return ""
    if "content" not in turn:
        raise RowError(f'"{place}" is missing; a message is {{"role": ..., "content": ...}}')
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_part(part, f"{place}[{index}]") for index, part in enumerate(value))
    alone = "; only a turn that calls tools may have none" if value is None else ""
    raise RowError(f'"{place}" is {kind_of(value)}; it must be text, or a list of text parts{alone}')


def _part(value: Json, where: str) -> str:
    text = value.get("text") if isinstance(value, dict) and value.get("type") == "text" else None
    if not isinstance(text, str):
        raise RowError(f'"{where}" is no text part; only {{"type": "text", "text": ...}} can be read')
    return text


def _reasoning(turn: Mapping[str, Json], role: Role, where: str) -> str | None:
    given = [field for field in REASONING_FIELDS if turn.get(field) is not None]
    if not given:
        return None
    if role != "assistant":
        raise RowError(f'"{where}.{given[0]}" is in a message of the role {role}; only the assistant has reasoning')
    texts = {_text(turn, field, where) for field in given}
    if len(texts) > 1:
        raise RowError(f'"{where}" has different texts in {" and ".join(given)}; keep one of them')
    return texts.pop() or None


def _tool_call_id(turn: Mapping[str, Json], role: Role, where: str) -> str | None:
    value = _text(turn, "tool_call_id", where)
    if value is not None and role != "tool":
        raise RowError(f'"{where}.tool_call_id" is in a message of the role {role}; it belongs to one of the role tool')
    return value


def _text(turn: Mapping[str, Json], field: str, where: str) -> str | None:
    """None: there is none."""
    value = turn.get(field)
    if value is not None and not isinstance(value, str):
        raise RowError(f'"{where}.{field}" is {kind_of(value)}; it must be text')
    return value

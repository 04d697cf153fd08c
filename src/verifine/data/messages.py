"""Checks the chat of one row and turns it into Messages."""

from __future__ import annotations

from typing import cast, get_args

from verifine.data.rows import RowError
from verifine.data.suggestion import did_you_mean
from verifine.types import Json, Message, Role

ROLES: tuple[str, ...] = get_args(Role)

_OTHER_PROGRAMS_NAMES = {"from": "role", "value": "content", "text": "content", "author": "role"}


def parse_messages(value: Json, field: str = "messages") -> tuple[Message, ...]:
    """The chat in a row's `field`: a list of {role, content}, or a single such object.

    Raises:
        RowError: the message names the field and how to fix it.
    """
    turns = [value] if isinstance(value, dict) else value
    if not isinstance(turns, list):
        raise RowError(f'"{field}" is {kind_of(value)}; it must be a list of chat messages')
    if not turns:
        raise RowError(f'"{field}" is empty; give it at least one user message')
    messages = tuple(_message(turn, f"{field}[{index}]") for index, turn in enumerate(turns))
    if messages[-1].role == "assistant":
        raise RowError(
            f'"{field}[{len(messages) - 1}]" is the assistant\'s answer, but the model is to write that itself; '
            "drop the last message, and put a known answer into a field of its own, such as gt_answer"
        )
    return messages


def _message(turn: Json, where: str) -> Message:
    if not isinstance(turn, dict):
        raise RowError(f'"{where}" is {kind_of(turn)}; it must be an object with role and content')
    for field, value in turn.items():
        # A table writes null where a message has no such field.
        if field not in ("role", "content") and value is not None:
            raise RowError(f'"{where}" has the field "{field}"; {_advise(field, turn)}')
    for field in ("role", "content"):
        if field not in turn:
            raise RowError(f'"{where}.{field}" is missing; a message is {{"role": ..., "content": ...}}')
    return Message(role=_role(turn["role"], f"{where}.role"), content=_content(turn["content"], f"{where}.content"))


def _advise(field: str, turn: dict[str, Json]) -> str:
    meant = _OTHER_PROGRAMS_NAMES.get(field)
    if meant is not None and meant not in turn:
        return f'here it is called "{meant}"'
    return "only role and content are read, so drop it"


def _role(value: Json, where: str) -> Role:
    if not isinstance(value, str):
        raise RowError(f'"{where}" is {kind_of(value)}; it must be one of {", ".join(ROLES)}')
    if value not in ROLES:
        hint = did_you_mean(value, ROLES)
        raise RowError(f'"{where}" is "{value[:40]}"{hint}; it must be one of {", ".join(ROLES)}')
    return cast("Role", value)


def _content(value: Json, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_part(part, f"{where}[{index}]") for index, part in enumerate(value))
    raise RowError(f'"{where}" is {kind_of(value)}; it must be text, or a list of text parts')


def _part(value: Json, where: str) -> str:
    text = value.get("text") if isinstance(value, dict) and value.get("type") == "text" else None
    if not isinstance(text, str):
        raise RowError(f'"{where}" is no text part; only {{"type": "text", "text": ...}} can be read')
    return text


def kind_of(value: Json) -> str:
    """The kind of a value, as it reads after "is"."""
    names = {"NoneType": "null", "bool": "true or false", "str": "text", "list": "a list", "dict": "an object"}
    return names.get(type(value).__name__, "a number")

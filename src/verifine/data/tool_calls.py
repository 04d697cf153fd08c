"""Checks the calls that earlier turns of a chat made, and that each call has its result, in OpenAI's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.data.kinds import kind_of
from verifine.data.rows import RowError
from verifine.data.strict_json import JsonError, parse_json
from verifine.types import Json, Message, Role, ToolCall

_FORM = 'a call is {"id": ..., "type": "function", "function": {"name": ..., "arguments": ...}}'
_CALL_FIELDS = ("id", "type", "function")
_FUNCTION_FIELDS = ("name", "arguments")


def parse_tool_calls(turn: Mapping[str, Json], role: Role, where: str) -> tuple[ToolCall, ...]:
    """The calls in a message's `tool_calls`, or in `function_call`, its older form.

    Raises:
        RowError: the message names the field and how to fix it.
    """
    calls, old = turn.get("tool_calls"), turn.get("function_call")
    if not calls and not old:
        return ()
    if role != "assistant":
        field = "tool_calls" if calls else "function_call"
        raise RowError(f'"{where}.{field}" is in a message of the role {role}; only the assistant calls tools')
    if calls and old:
        raise RowError(f'"{where}" has both tool_calls and function_call; keep tool_calls')
    if old:
        return (_function(old, f"{where}.function_call", None),)
    if not isinstance(calls, list):
        raise RowError(f'"{where}.tool_calls" is {kind_of(calls)}; it must be a list, and {_FORM}')
    return tuple(_call(call, f"{where}.tool_calls[{index}]") for index, call in enumerate(calls))


def _call(call: Json, where: str) -> ToolCall:
    if not isinstance(call, dict):
        raise RowError(f'"{where}" is {kind_of(call)}; {_FORM}')
    for field, value in call.items():
        if field not in (*_CALL_FIELDS, "index") and value is not None:
            hint = "; it belongs inside function" if field in _FUNCTION_FIELDS else ""
            raise RowError(f'"{where}" has the field "{field}"{hint}; {_FORM}')
    if call.get("type") not in ("function", None):
        raise RowError(f'"{where}.type" must be "function"; {_FORM}')
    id_ = call.get("id")
    if id_ is not None and not isinstance(id_, str):
        raise RowError(f'"{where}.id" is {kind_of(id_)}; it must be text')
    return _function(call.get("function"), f"{where}.function", id_)


def _function(function: Json, where: str, id_: str | None) -> ToolCall:
    if not isinstance(function, dict):
        raise RowError(f'"{where}" is {"missing" if function is None else kind_of(function)}; {_FORM}')
    for field, value in function.items():
        if field not in _FUNCTION_FIELDS and value is not None:
            raise RowError(f'"{where}" has the field "{field}"; it has {" and ".join(_FUNCTION_FIELDS)}')
    name = function.get("name")
    if not isinstance(name, str) or not name:
        raise RowError(f'"{where}.name" is {"missing" if name is None else kind_of(name)}; name the function')
    return ToolCall(name=name, arguments=_arguments(function.get("arguments"), f"{where}.arguments"), id=id_)


def _arguments(value: Json, where: str) -> Mapping[str, Json]:
    """The arguments, which OpenAI writes as JSON text, decoded: a chat template encodes them itself."""
    if value is None or value == "":
        return {}
    decoded: Json = value
    how = ""
    if isinstance(value, str):
        how = " as JSON text"
        try:
            decoded = parse_json(value)
        except JsonError as error:
            place = f"column {error.column}: " if error.column is not None else ""
            raise RowError(
                f'"{where}" is text that is not JSON ({place}{error}); write the arguments as an object, or as its '
                'JSON text, such as "{\\"city\\": \\"Oslo\\"}"'
            ) from error
    if not isinstance(decoded, dict):
        hint = ": it was encoded twice" if how and isinstance(decoded, str) else ""
        raise RowError(f'"{where}" is {kind_of(decoded)}{how}{hint}; it must be an object with the arguments by name')
    return decoded


def check_results(messages: Sequence[Message], field: str) -> None:
    """Checks that each call in the chat in `field` is followed by its result, and that each result has a call.

    A call without an id is answered by the next result without an id. Calls that a text contains, as
    `<tool_call>...</tool_call>`, are not looked at.

    Raises:
        RowError: the message names the first call or result that stands alone.
    """
    open_calls: list[tuple[str, str | None]] = []
    """The place and id of each call that has no result yet."""
    known: list[str | None] = []
    """The ids of the calls of the last turn with calls."""
    for index, message in enumerate(messages):
        where = f"{field}[{index}]"
        if message.role == "tool":
            has_asked = any(earlier.role == "assistant" for earlier in messages[:index])
            open_calls = _without_answered(message, where, open_calls, known, has_asked=has_asked)
            continue
        _refuse_open(open_calls)
        if message.role == "assistant":
            known = [call.id for call in message.tool_calls]
            _refuse_equal_ids(known, where)
            open_calls = [(f"{where}.tool_calls[{place}]", id_) for place, id_ in enumerate(known)]
    _refuse_open(open_calls)


def _without_answered(
    message: Message,
    where: str,
    open_calls: Sequence[tuple[str, str | None]],
    known: Sequence[str | None],
    *,
    has_asked: bool,
) -> list[tuple[str, str | None]]:
    """The calls that are still open after a result."""
    answered = next(
        (place for place, (_, id_) in enumerate(open_calls) if message.tool_call_id in (id_, None) or id_ is None), None
    )
    if answered is not None:
        return [call for place, call in enumerate(open_calls) if place != answered]
    if message.tool_call_id is None:
        if known or not has_asked:
            raise RowError(
                f'"{where}" is the result of a tool, but no call before it is without a result; add the turn of the '
                "assistant that calls the tool, or remove this message"
            )
        return []
    ids = ", ".join(id_ for id_ in known if id_ is not None)
    if message.tool_call_id in known:
        raise RowError(f'"{where}" is a second result of the call "{message.tool_call_id}"; keep one of them')
    raise RowError(
        f'"{where}.tool_call_id" is "{message.tool_call_id[:40]}", but the turn before it has no call with this id '
        f"({f'it has {ids}' if ids else 'it has no call with an id'}); give it the id of its call"
    )


def _refuse_open(open_calls: Sequence[tuple[str, str | None]]) -> None:
    if open_calls:
        place, id_ = open_calls[0]
        named = "" if id_ is None else f' ("{id_}")'
        raise RowError(
            f'"{place}"{named} has no result; a message of the role tool with its tool_call_id must follow the turn '
            "that calls it"
        )


def _refuse_equal_ids(ids: Sequence[str | None], where: str) -> None:
    for place, id_ in enumerate(ids):
        if id_ is not None and id_ in ids[:place]:
            raise RowError(f'"{where}.tool_calls[{place}].id" is "{id_}" again; give each call of a turn its own id')

"""The messages of a chat in the form that chat templates read: OpenAI's, with the arguments of calls decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from verifine.data.messages import REASONING_FIELDS
from verifine.types import Json, Message, ToolCall


class JsonObject(dict[str, Any]):
    """An object that is JSON wherever a template writes it as text.

    Most templates encode the arguments of a call themselves, others add them to a text.
    """

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)

    def __add__(self, text: str) -> str:
        return str(self) + text

    def __radd__(self, text: str) -> str:
        return text + str(self)


class JsonList(list[Any]):
    """The same for a list."""

    def __str__(self) -> str:
        return json.dumps(self, ensure_ascii=False)


def template_message(message: Message) -> dict[str, Any]:
    """A message as the template gets it; a field that the row does not have is absent.

    The content of a turn that only calls tools is null, as in OpenAI's form.
    """
    is_silent = message.tool_calls and not message.content
    fields: dict[str, Any] = {"role": message.role, "content": None if is_silent else message.content}
    if message.name is not None:
        fields["name"] = message.name
    if message.reasoning is not None:
        # Templates have different names for it, and each reads its own.
        fields |= dict.fromkeys(REASONING_FIELDS, message.reasoning)
    if message.tool_calls:
        fields["tool_calls"] = [_template_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _template_call(call: ToolCall) -> dict[str, Any]:
    id_ = {} if call.id is None else {"id": call.id}
    return {**id_, "type": "function", "function": {"name": call.name, "arguments": _readable(call.arguments)}}


def _readable(value: Json | Mapping[str, Json]) -> Any:
    match value:
        case dict():
            return JsonObject({key: _readable(each) for key, each in value.items()})
        case list():
            return JsonList(_readable(each) for each in value)
        case _:
            return value

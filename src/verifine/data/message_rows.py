"""A message as JSON: its role, its content and, where it has more, an object with the rest.

A message with a role and a content alone is always written the same way, so that hashes of questions stay the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from verifine.types import Json, Message, ToolCall


def row_of(message: Message) -> list[Json]:
    rest = dict(further_fields(message))
    return [message.role, message.content, rest] if rest else [message.role, message.content]


def message_of(row: list[Any]) -> Message:
    """The message that `row_of` was given."""
    role, content, *rest = row
    fields = dict(rest[0]) if rest else {}
    calls = tuple(ToolCall(**call) for call in fields.pop("tool_calls", ()))
    return Message(role=role, content=content, tool_calls=calls, **fields)


def further_fields(message: Message) -> Mapping[str, Json]:
    """What a message has besides role and content."""
    texts = {"name": message.name, "reasoning": message.reasoning, "tool_call_id": message.tool_call_id}
    fields: dict[str, Json] = {field: text for field, text in texts.items() if text is not None}
    if message.tool_calls:
        fields["tool_calls"] = [asdict(call) for call in message.tool_calls]
    return fields

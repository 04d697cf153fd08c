"""Finds the calls of tools in what a model writes.

Two forms are read: objects between `<tool_call>` and `</tool_call>`, where the chat template shows these tags (Hermes,
Qwen), and otherwise an answer that is nothing but an object (Llama 3). An object has a name and `arguments` or
`parameters`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from verifine.data.strict_json import JsonError, parse_json
from verifine.types import Json

OPENING, CLOSING = "<tool_call>", "</tool_call>"

_TAGGED = re.compile(rf"{OPENING}(.*?)(?:{CLOSING}|\Z)", re.DOTALL)
_ARGUMENTS = ("arguments", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCall:
    """A call of a tool that the request names."""

    name: str
    arguments: str
    """JSON text."""


class CallReader:
    """Reads one answer. Text that may belong to a call is held back; what turns out to be none is content."""

    def __init__(self, names: Collection[str], *, is_tagged: bool) -> None:
        """`names`: of the tools that may be called; none: everything is content."""
        self._names = names
        self._is_tagged = is_tagged
        self._text = ""
        """What is held back."""
        self._has_content = False

    def add(self, text: str) -> str:
        """The content that is certain after this text."""
        self._text += text
        held = self._held_from()
        content, self._text = self._text[:held], self._text[held:]
        self._has_content = self._has_content or bool(content.strip())
        return content

    def finish(self) -> tuple[str, tuple[ReadCall, ...]]:
        """The rest of the content, and the calls."""
        inside = _TAGGED.findall(self._text) if self._is_tagged else [self._text]
        calls = [self._read(text.strip()) for text in inside]
        found = tuple(call for call in calls if call)
        return ("", found) if found and len(found) == len(calls) else (self._text, ())

    def _held_from(self) -> int:
        if not self._names:
            return len(self._text)
        if not self._is_tagged:
            is_object = not self._has_content and self._text.lstrip()[:1] in ("", "{")
            return 0 if is_object else len(self._text)
        start = self._text.find(OPENING)
        if start >= 0:
            return start
        lengths = range(min(len(OPENING) - 1, len(self._text)), 0, -1)
        return len(self._text) - next((n for n in lengths if OPENING.startswith(self._text[-n:])), 0)

    def _read(self, text: str) -> ReadCall | None:
        try:
            value = parse_json(text)
        except JsonError:
            return None
        if not isinstance(value, dict) or value.get("name") not in self._names:
            return None
        arguments: Json = next((value[field] for field in _ARGUMENTS if field in value), {})
        if not isinstance(arguments, dict):
            return None
        return ReadCall(name=str(value["name"]), arguments=json.dumps(arguments, ensure_ascii=False))

"""What users wrote and the model cannot see, because the chat template leaves it out.

A part of a chat is changed and the chat is rendered again: if the text stays the same, the part is not in it. Parts
that stand in a chat in the same way are tried once, so the cost does not grow with the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from transformers import PreTrainedTokenizerFast

from verifine.data.thoughts import CLOSING
from verifine.models.chat.template import TemplateRefusalError, render_text
from verifine.types import Example, Message, ToolCall

_MARK = "x"


class ChatPart(StrEnum):
    """What a chat may hold, as it reads in a sentence."""

    SYSTEM = "the system prompt"
    DEVELOPER = "the developer message"
    USER = "a user message"
    ASSISTANT = "an earlier answer of the assistant"
    TOOL = "the result of a tool call"
    CALL = "an earlier tool call"
    ARGUMENTS = "the arguments of an earlier tool call"
    RESULT_ID = "which call a result belongs to"
    NAME = "the name in a message"
    REASONING = "the reasoning of an earlier answer"


_BY_ROLE = {
    "system": ChatPart.SYSTEM,
    "developer": ChatPart.DEVELOPER,
    "user": ChatPart.USER,
    "assistant": ChatPart.ASSISTANT,
    "tool": ChatPart.TOOL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenPart:
    """A part that the chat template leaves out of the prompts of some rows."""

    part: ChatPart
    rows: int
    place: str
    """The first of them."""
    text: str
    """What is left out there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenParts:
    """All parts that are left out."""

    rows: int
    """Rows that were looked at."""
    parts: tuple[HiddenPart, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trial:
    """A part of a chat, and the chat with this part changed."""

    part: ChatPart
    text: str
    changed: Example
    which: int = 0
    """The place of a call among those of its turn."""


def find_hidden_parts(tokenizer: PreTrainedTokenizerFast, examples: Iterable[Example]) -> HiddenParts:
    """Looks at every row, and renders those that have a part in a way that no earlier row had."""
    known: dict[tuple[object, ...], bool] = {}
    found: dict[ChatPart, HiddenPart] = {}
    rows = 0
    for example in examples:
        rows += 1
        hidden: dict[ChatPart, str] = {}
        for place, message in enumerate(example.messages):
            for trial in _trials(example, place, message):
                key = (trial.part, trial.which, *_surroundings(example, place))
                if key not in known:
                    known[key] = _is_hidden(tokenizer, example, trial.changed)
                if known[key]:
                    hidden.setdefault(trial.part, trial.text)
        for part, text in hidden.items():
            new = HiddenPart(part=part, rows=1, place=example.label, text=text)
            found[part] = replace(found[part], rows=found[part].rows + 1) if part in found else new
    return HiddenParts(rows=rows, parts=tuple(found[part] for part in ChatPart if part in found))


def _is_hidden(tokenizer: PreTrainedTokenizerFast, example: Example, changed: Example) -> bool:
    try:
        return render_text(tokenizer, changed) == render_text(tokenizer, example)
    except TemplateRefusalError:  # a template that fails at a changed part has read it
        return False


def _surroundings(example: Example, place: int) -> tuple[object, ...]:
    """What a template may make the place of a message depend on."""
    messages = example.messages
    message, last = messages[place], len(messages) - 1
    return (
        message.role,
        min(place, 2),
        min(last - place, 2),
        messages[place - 1].role if place else None,
        messages[place + 1].role if place < last else None,
        any(later.role == "user" for later in messages[place + 1 :]),
        bool(message.content),
        len(message.tool_calls),
        message.name is not None,
        bool(example.tools),
    )


def _trials(example: Example, place: int, message: Message) -> Iterator[_Trial]:
    """Every part of a message, changed."""

    def trial(part: ChatPart, text: str, changed: Message, which: int = 0) -> _Trial:
        messages = (*example.messages[:place], changed, *example.messages[place + 1 :])
        return _Trial(part=part, text=text, changed=replace(example, messages=messages), which=which)

    content = message.content
    if content:
        # On both sides, since a template may cut off a thought before the answer.
        changed = replace(message, content=f"{_MARK}{content}{_MARK}")
        yield trial(_BY_ROLE[message.role], content, changed)
    if content and message.role == "assistant" and CLOSING in content:
        thought, _, answer = content.partition(CLOSING)
        changed = replace(message, content=f"{thought}{_MARK}{CLOSING}{answer}")
        yield trial(ChatPart.REASONING, thought, changed)
    if message.reasoning:
        yield trial(ChatPart.REASONING, message.reasoning, replace(message, reasoning=message.reasoning + _MARK))
    if message.name is not None and message.role != "tool":  # the name of a tool is in its call
        yield trial(ChatPart.NAME, message.name, replace(message, name=message.name + _MARK))
    for index, call in enumerate(message.tool_calls):
        renamed = _with_call(message, index, replace(call, name=call.name + _MARK))
        yield trial(ChatPart.CALL, call.name, renamed, index)
        if call.arguments:
            longer = _with_call(message, index, replace(call, arguments={**call.arguments, _MARK: _MARK}))
            yield trial(ChatPart.ARGUMENTS, ", ".join(call.arguments), longer, index)
    if message.tool_call_id is not None and _is_out_of_order(example.messages, place):
        yield _Trial(
            part=ChatPart.RESULT_ID,
            text=message.tool_call_id,
            changed=_with_other_id(example, message.tool_call_id),
        )


def _with_call(message: Message, index: int, call: ToolCall) -> Message:
    calls = message.tool_calls
    return replace(message, tool_calls=(*calls[:index], call, *calls[index + 1 :]))


def _is_out_of_order(messages: tuple[Message, ...], place: int) -> bool:
    """Whether a result stands at another place among the results than its call does among the calls."""
    start = next((index for index in range(place - 1, -1, -1) if messages[index].role != "tool"), None)
    if start is None:
        return False
    ids = [call.id for call in messages[start].tool_calls]
    position = place - start - 1
    return position < len(ids) and messages[place].tool_call_id != ids[position]


def _with_other_id(example: Example, id_: str) -> Example:
    """The call and its result have another id."""
    other = id_ + _MARK

    def renamed(message: Message) -> Message:
        calls = tuple(replace(call, id=other) if call.id == id_ else call for call in message.tool_calls)
        own = other if message.tool_call_id == id_ else message.tool_call_id
        return replace(message, tool_calls=calls, tool_call_id=own)

    return replace(example, messages=tuple(map(renamed, example.messages)))

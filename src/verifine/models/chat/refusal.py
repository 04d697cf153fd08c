"""What a chat template does not take of a chat: found by trying the chat without it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

from transformers import PreTrainedTokenizerFast

from verifine.models.chat.template import TemplateRefusalError, render_text
from verifine.types import Example, Message

_ELSE = "Change its messages, or use another model (model.name)"


def refusal_hint(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    """What to change so that the template takes the chat, as a sentence without its full stop."""
    return next((hint for changed, hint in _ways(example) if _is_taken(tokenizer, changed)), _ELSE)


def _is_taken(tokenizer: PreTrainedTokenizerFast, example: Example) -> bool:
    if not example.messages:
        return False
    try:
        render_text(tokenizer, example)
    except TemplateRefusalError:
        return False
    return True


def _ways(example: Example) -> Iterator[tuple[Example, str]]:
    """Changed chats, each with the advice that it stands for; those that the chat already has are left out."""
    messages = example.messages
    roles = {message.role for message in messages}
    if "developer" in roles:
        renamed = tuple(replace(m, role="system") if m.role == "developer" else m for m in messages)
        yield replace(example, messages=renamed), "It knows no role developer: call it system"
    if roles & {"system", "developer"}:
        yield (
            _only(example, lambda message: message.role not in ("system", "developer")),
            "It takes no system message: put its text into the first user message, and remove data.system_prompt if it "
            "is from there",
        )
    if any(len(message.tool_calls) > 1 for message in messages):
        single = tuple(replace(message, tool_calls=message.tool_calls[:1]) for message in messages)
        yield replace(example, messages=single), "It takes one tool call in a turn: put each into a turn of its own"
    joined = _joined(messages)
    if len(joined) < len(messages):
        yield (
            replace(example, messages=joined),
            "Its roles must alternate: join neighbouring messages of the same role into one",
        )
    if "tool" in roles or any(message.tool_calls for message in messages):
        yield (
            _only(example, lambda message: message.role != "tool" and not message.tool_calls),
            "It takes no tool calls and no results of tools: use a model that was trained to call tools (model.name)",
        )
    if example.tools:
        yield replace(example, tools=()), "It takes no tools: use a model that was trained to call tools (model.name)"


def _only(example: Example, keeps: Callable[[Message], bool]) -> Example:
    return replace(example, messages=tuple(message for message in example.messages if keeps(message)))


def _joined(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """One message of each run of messages with the same role."""
    return (*(first for first, second in pairwise(messages) if first.role != second.role), messages[-1])

"""Renders chats with the chat template of a tokenizer."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerFast

from verifine.errors import DataError
from verifine.models.chat.messages import template_message
from verifine.types import Example


class TemplateRefusalError(DataError):
    """The chat template does not take the chat; the message is the template's own."""


def render_tokens(tokenizer: PreTrainedTokenizerFast, example: Example) -> list[int]:
    """The tokens of a prompt, up to the start of the answer.

    Raises:
        TemplateRefusalError: the template fails.
    """
    token_ids: list[int] = _apply(tokenizer, example, tokenize=True, return_dict=False)
    return token_ids


def render_text(tokenizer: PreTrainedTokenizerFast, example: Example, *, up_to_answer: bool = True) -> str:
    """The text of a prompt; `up_to_answer`: with what the template writes at the start of the answer.

    Raises:
        TemplateRefusalError: the template fails.
    """
    text: str = _apply(tokenizer, example, tokenize=False, add_generation_prompt=up_to_answer)
    return text


def _apply(tokenizer: PreTrainedTokenizerFast, example: Example, **how: Any) -> Any:
    """Renders a chat, with empty texts in place of null for a template that cannot take null."""
    with_nulls = [template_message(message) for message in example.messages]
    tools = [dict(tool) for tool in example.tools] or None
    settings = {"tools": tools, "add_generation_prompt": True, **how}
    if any(message["content"] is None for message in with_nulls):
        filled = [{**message, "content": message["content"] or ""} for message in with_nulls]
        if not _takes_null(tokenizer, with_nulls, filled, tools):
            return _call(tokenizer, filled, settings)
    return _call(tokenizer, with_nulls, settings)


def _takes_null(
    tokenizer: PreTrainedTokenizerFast,
    with_nulls: list[dict[str, Any]],
    filled: list[dict[str, Any]],
    tools: list[dict[str, Any]] | None,
) -> bool:
    """Whether the template neither fails at a null content nor writes it as a word."""
    settings = {"tools": tools, "add_generation_prompt": True, "tokenize": False}
    try:
        text = _call(tokenizer, with_nulls, settings)
        plain = _call(tokenizer, filled, settings)
    except TemplateRefusalError:
        return False
    return bool(text.count("None") <= plain.count("None"))


def _call(tokenizer: PreTrainedTokenizerFast, messages: list[dict[str, Any]], settings: dict[str, Any]) -> Any:
    try:
        return tokenizer.apply_chat_template(messages, **settings)
    except Exception as error:  # a template is a program of the model's author, and may fail in any way
        raise TemplateRefusalError(" ".join(str(error).split()).rstrip(".") or type(error).__name__) from error

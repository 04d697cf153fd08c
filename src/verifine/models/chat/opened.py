"""How a chat template begins the answer: `<think>` and the like, which the model then does not write itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from transformers import PreTrainedTokenizerFast

from verifine.models.chat.template import TemplateRefusalError, render_text
from verifine.types import Example

_MARK = "\ue000\ue001\ue000"
"""Characters for private use, which no chat has."""
_TAG = re.compile(r"<[A-Za-z][\w-]*>")


def opened_text(tokenizer: PreTrainedTokenizerFast, example: Example, token_ids: Sequence[int]) -> str:
    """What the template writes of the answer, from the first tag on and without special tokens; empty: no tag.

    `token_ids` is the prompt. It is looked at first, since a prompt without any tag need not be rendered again.
    """
    if _TAG.search(_decode(tokenizer, token_ids)) is None:
        return ""
    begun = _begun(tokenizer, example)
    written: list[int] = tokenizer(begun, add_special_tokens=False).input_ids
    text = _decode(tokenizer, written)
    tag = _TAG.search(text)
    return "" if tag is None else text[tag.start() :]


def _begun(tokenizer: PreTrainedTokenizerFast, example: Example) -> str:
    """The template's text from the start of the answer on, special tokens included."""
    whole = render_text(tokenizer, example)
    try:
        asked = render_text(tokenizer, example, up_to_answer=False)
    except TemplateRefusalError:
        asked = whole
    if asked != whole:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(whole, asked, strict=False))
        return whole[sum(1 for _ in same) :]
    return _after_content(tokenizer, example, whole)


def _after_content(tokenizer: PreTrainedTokenizerFast, example: Example, whole: str) -> str:
    """What follows the last message in the text of a template that begins an answer after every chat.

    The message is found by a mark at its end, or at its start where a template looks at how the message ends. Looking
    for its text would find the "hi" in "think".
    """
    *before, last = example.messages
    stripped = last.content.strip()
    start, end = last.content.split(stripped) if stripped else ("", last.content)
    for content, passed in ((start + stripped + _MARK + end, ""), (start + _MARK + stripped + end, stripped)):
        marked = replace(example, messages=(*before, replace(last, content=content)))
        try:
            text = render_text(tokenizer, marked)
        except TemplateRefusalError:
            continue
        rest = text.rpartition(_MARK)[2]
        if _MARK in text and text.replace(_MARK, "") == whole and rest.startswith(passed):
            return rest.removeprefix(passed)
    return ""


def _decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    """The text as graders see answers: without special tokens, such as those around a turn."""
    text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
    assert isinstance(text, str)
    return text

"""How a chat template begins the answer: `<think>` and the like, which the model then does not write itself."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from transformers import PreTrainedTokenizerFast

from verifine.models.chat.template import TemplateRefusalError, render_text
from verifine.types import Example

LOOKED_AT_TOKENS = 64
"""The last tokens of a prompt, in which a tag at its end stands."""

_TAG = re.compile(r"<[A-Za-z][\w-]*>")


def opened_text(tokenizer: PreTrainedTokenizerFast, example: Example, token_ids: Sequence[int]) -> str:
    """What the template writes of the answer, from the first tag on and without special tokens; empty: no tag.

    `token_ids` is the prompt. Its end is looked at first, since few prompts need to be rendered again.
    """
    if _TAG.search(_decode(tokenizer, token_ids[-LOOKED_AT_TOKENS:])) is None:
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
    # This template begins an answer after every chat.
    content = example.messages[-1].content.strip()
    return whole.rpartition(content)[2] if content and content in whole else ""


def _decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    """The text as graders see answers: without special tokens, such as those around a turn."""
    text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
    assert isinstance(text, str)
    return text

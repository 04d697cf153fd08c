"""Where each token's text ends in an answer, so that pages can show numbers of tokens on its text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from transformers import PreTrainedTokenizerFast

INCOMPLETE = "\ufffd"
"""What a decoder writes for bytes that are not a whole character."""


def text_ends(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> tuple[int, ...]:
    """For each token, how many characters of the answer's text are complete after it.

    The text is that of `Rollout.text`, without special tokens; these, and tokens that end within a character, add
    nothing. Only a few tokens are decoded at a time, so the cost grows with the number of tokens.
    """
    added: list[int] = []
    # Tokens before `known` are counted; those from `start` on are decoded with later ones, which may depend on them.
    start, known = 0, 0
    for stop in range(1, len(token_ids) + 1):
        before = _decode(tokenizer, token_ids[start:known])
        text = _decode(tokenizer, token_ids[start:stop])
        is_complete = len(text) > len(before) and not text.endswith(INCOMPLETE)
        added.append(len(text) - len(before) if is_complete else 0)
        if is_complete:
            start, known = known, stop
    total = len(_decode(tokenizer, token_ids))
    ends = [min(end, total) for end in accumulate(added)]
    return (*ends[:-1], total) if ends else ()


def _decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    text = tokenizer.decode(list(token_ids), skip_special_tokens=True)
    assert isinstance(text, str)
    return text

"""Where each token's text ends in an answer, so that pages can show numbers of tokens on its text."""

from __future__ import annotations

from itertools import accumulate

from transformers import PreTrainedTokenizerFast

from verifine.models.answer_text import decode_answer
from verifine.types import Rollout

INCOMPLETE = "\ufffd"
"""What a decoder writes for bytes that are not a whole character."""


def text_ends(tokenizer: PreTrainedTokenizerFast, rollout: Rollout) -> tuple[int, ...]:
    """For each token, how many characters of the answer's text are complete after it.

    Special tokens, tokens that end within a character, and what a token has behind a stop text add nothing. Only a few
    tokens are decoded at a time, so the cost grows with the number of tokens.
    """
    token_ids, total = rollout.token_ids, len(rollout.text)
    added: list[int] = []
    # Tokens before `known` are counted; those from `start` on are decoded with later ones, which may depend on them.
    start, known = 0, 0
    for stop in range(1, len(token_ids) + 1):
        before = decode_answer(tokenizer, token_ids[start:known])
        text = decode_answer(tokenizer, token_ids[start:stop])
        is_complete = len(text) > len(before) and not text.endswith(INCOMPLETE)
        added.append(len(text) - len(before) if is_complete else 0)
        if is_complete:
            start, known = known, stop
    ends = [min(end, total) for end in accumulate(added)]
    return (*ends[:-1], total) if ends else ()

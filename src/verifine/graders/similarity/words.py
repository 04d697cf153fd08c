"""A text as the words that metrics compare."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

import regex

from verifine.graders.sample_error import SampleError

MAX_WORDS = 20_000
"""The longest common subsequence of two texts takes time that grows with the product of their lengths."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}"
_WORD = regex.compile(rf"[{_UNSPACED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_UNSPACED}]]+", regex.VERSION1)


def split_words(text: str) -> list[str]:
    """Runs of letters and digits in lower case; punctuation, signs and underscores only divide.

    Chinese and Japanese are written without blanks, so each of their characters is a word. Of a text in plain ASCII
    these are the words of the `rouge-score` package.

    Raises:
        SampleError: there are more than MAX_WORDS.
    """
    words: list[str] = _WORD.findall(unicodedata.normalize("NFC", text).lower())
    if len(words) > MAX_WORDS:
        raise SampleError(f"a text has {len(words)} words; at most {MAX_WORDS} are compared")
    return words


def count_runs(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often each run of `n` words stands in them."""
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))

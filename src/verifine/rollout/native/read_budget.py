"""How much is read at a time: its keys and values lie beside the cache until they are copied there."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from verifine.models.network.trie import Tokens

READ_SHARE = 8
"""Up to this part of the cache's tokens is read at a time."""


class ReadBudget:
    """Admits what fits into so many tokens, and the first in any case.

    A beginning is counted once where neighbours share it; others may share it too, so that less is read.
    """

    def __init__(self, tokens: int) -> None:
        self._left = tokens
        self._last: Tokens | None = None

    def takes(self, sequences: Iterable[Tokens]) -> bool:
        """Whether the sequences are read too, which are counted then."""
        left, last = self._left, self._last
        for tokens in sequences:
            left -= len(tokens) - _shared(last or (), tokens)
            last = tokens
        if left < 0 and self._last is not None:
            return False
        self._left, self._last = left, last
        return True


def _shared(one: Tokens, other: Tokens) -> int:
    """How many tokens both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))

"""What several answers to one prompt say: avg@k is their average, pass@k whether one of k solves it."""

from __future__ import annotations

import math


def pass_at_k(n: int, c: int, k: int) -> float:
    """How likely one of k answers passes, from n answers of which c passed (arXiv:2107.03374).

    1 - C(n-c, k) / C(n, k): the share of all ways to pick k of the n that have one which passed, so it is right on
    average for every k up to n, which 1 - (1 - c/n)^k is not. Counted in whole numbers, and rounded once.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {n} answers, of which {c} passed")
    ways = math.comb(n, k)
    return (ways - math.comb(n - c, k)) / ways


def ladder(n: int) -> list[int]:
    """The k of which pass@k is told, with n answers to a prompt: 1, 2, 4, ... and n."""
    powers = [1 << exponent for exponent in range(n.bit_length())]
    return sorted({*(power for power in powers if power <= n), n} if n else ())

"""Numbers of several answers to one prompt: avg@k is their average, pass@k whether one of k solves it."""

from __future__ import annotations

import math


def pass_at_k(n: int, c: int, k: int) -> float:
    """The probability that one of k answers passes, given that c of n answers passed (arXiv:2107.03374).

    1 - C(n-c, k) / C(n, k): the share of all ways to pick k of the n that include one which passed. It is unbiased
    for every k up to n; 1 - (1 - c/n)^k is not. Computed in whole numbers, and rounded once.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {n} answers ({c} passed)")
    ways = math.comb(n, k)
    return (ways - math.comb(n - c, k)) / ways


def ladder(n: int) -> list[int]:
    """The values of k to report pass@k for, with n answers to a prompt: 1, 2, 4, ... and n."""
    powers = [1 << exponent for exponent in range(n.bit_length())]
    return sorted({*(power for power in powers if power <= n), n} if n else ())

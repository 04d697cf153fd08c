"""Drawing as many answers as a prompt needs, once more as loops over plain lists, and what it does to the gradient.

The conventions are those of `oracle`. `right[p][g]` and `valid[p][g]` are of everything that was drawn for prompt `p`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verifine.testing.oracle import Rewards, Valid

Right = Sequence[Sequence[bool]]
LEAST_RATE = Fraction(1, 100)


def naive_pool_centered(rewards: Rewards, valid: Valid, drawn_means: Sequence[float]) -> list[list[float]]:
    """Reward minus the mean of everything drawn for its prompt (arXiv:2510.04996, algorithm 2, line 19)."""
    return [
        [reward - mean if ok else 0.0 for reward, ok in zip(group, group_valid, strict=True)]
        for group, group_valid, mean in zip(rewards, valid, drawn_means, strict=True)
    ]


def naive_has_enough(right: Right, valid: Valid, rights: int, wrongs: int) -> list[bool]:
    """The exit condition of algorithm 2."""
    counts = [_count(group, group_valid) for group, group_valid in zip(right, valid, strict=True)]
    return [found_rights >= rights and found_wrongs >= wrongs for found_rights, found_wrongs in counts]


def naive_keep_mixed(right: Right, valid: Valid, size: int) -> list[list[bool]]:
    """Half right, half wrong and the rest of whatever there is, in the order of drawing (algorithm 2, line 18)."""
    kept = []
    for group, group_valid in zip(right, valid, strict=True):
        rights, wrongs = split_group(size, *_count(group, group_valid))
        left, row = {True: rights, False: wrongs}, []
        for is_right, ok in zip(group, group_valid, strict=True):
            takes = ok and left[is_right] > 0
            left[is_right] -= takes
            row.append(takes)
        kept.append(row)
    return kept


def split_group(size: int, rights: int, wrongs: int) -> tuple[int, int]:
    """How many right and wrong answers of a pool are kept, dealt out one by one: to the kind that has fewer so far."""
    kept = {True: 0, False: 0}
    found = {True: rights, False: wrongs}
    for _ in range(min(size, rights + wrongs)):
        wants_right = kept[True] < size // 2 and kept[True] <= kept[False]
        kind = wants_right if kept[wants_right] < found[wants_right] else not wants_right
        kept[kind] += 1
    return kept[True], kept[False]


def naive_rate_scales(right: Right, valid: Valid) -> list[float]:
    """1 / sqrt(p + 0.01) of the share p of right answers (algorithm 1, line 15)."""
    scales = []
    for group, group_valid in zip(right, valid, strict=True):
        rights, wrongs = _count(group, group_valid)
        scales.append(1 / math.sqrt(Fraction(rights, max(rights + wrongs, 1)) + LEAST_RATE))
    return scales


def naive_allocate(rates: Sequence[float], total: int, least: int, most: int) -> list[int]:
    """Answers in proportion to 1 / sqrt(p + 0.01), from `least` to `most` (algorithm 1, line 5).

    A prompt beyond a bound gets the bound, and the others share what is left, until none is beyond one. Of those that
    are beyond one, only those on the side that has more to correct are fixed at a time.
    """
    weights = [1 / math.sqrt(rate + LEAST_RATE) for rate in rates]
    fixed: dict[int, int] = {}
    while True:
        free = [index for index in range(len(rates)) if index not in fixed]
        left = min(total, most * len(rates)) - sum(fixed.values())
        scale = left / sum(weights[index] for index in free) if free else 0.0
        shares = {index: scale * weights[index] for index in free}
        low = {index: least for index, share in shares.items() if share < least}
        high = {index: most for index, share in shares.items() if share > most}
        lacking = sum(least - shares[index] for index in low)
        excess = sum(shares[index] - most for index in high)
        if not low and not high:
            break
        fixed |= low if lacking >= excess else high
    counts = {**fixed, **{index: math.floor(share + 1e-9) for index, share in shares.items()}}
    rest = left - sum(counts[index] for index in free)
    for index in sorted(free, key=lambda index: counts[index] - shares[index])[:rest]:
        counts[index] += 1
    return [counts[index] for index in range(len(rates))]


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveRounds:
    """Rounds of `answers` that end with `rights` right and `wrongs` wrong answers, or after `most`."""

    answers: int
    most: int
    rights: int
    wrongs: int

    def pools(self, p: float) -> Iterator[tuple[float, int, int]]:
        """The probability of every number of right and wrong answers that rounds can end with, for a success rate."""
        going = {0: 1.0}  # the probability of so many right answers and of going on
        for drawn in range(self.answers, self.answers * self.most + 1, self.answers):
            arrived: dict[int, float] = {}
            for before, probability in going.items():
                for found in range(self.answers + 1):
                    share = probability * _binomial(self.answers, found, p)
                    arrived[before + found] = arrived.get(before + found, 0.0) + share
            going = {}
            for right, probability in arrived.items():
                is_last = drawn == self.answers * self.most
                if is_last or (right >= self.rights and drawn - right >= self.wrongs):
                    yield probability, right, drawn - right
                else:
                    going[right] = probability

    def draws(self, p: float) -> float:
        """The expected number of answers that are drawn."""
        return math.fsum(probability * (right + wrong) for probability, right, wrong in self.pools(p))


def naive_rounds_weight(p: float, size: int, rounds: NaiveRounds) -> float:
    """The expected gradient of sampling in rounds, as a multiple of grad p: exact, over all ways to stop.

    The policy has two answers, a right one of probability `p` and a wrong one, so that grad log p = (1 - p) g and
    grad log(1 - p) = -p g with grad p = p (1 - p) g. Of (r - mean of everything drawn) grad log, the mean over the
    `size` answers that are kept is taken.
    """
    expected = 0.0
    for probability, right, wrong in rounds.pools(p):
        kept_rights, kept_wrongs = split_group(size, right, wrong)
        expected += probability * _slope(p, kept_rights, kept_wrongs, right / (right + wrong)) / size
    return expected / (p * (1 - p))


def balanced_weight(p: float) -> float:
    """The same for balanced groups and the true mean as baseline: (1 - 2p + 2p^2) / (2p (1 - p))."""
    return (1 - 2 * p + 2 * p**2) / (2 * p * (1 - p))


def naive_allocation_weight(p: float, size: int) -> float:
    """The expected gradient of `size` answers of a prompt, all kept and scaled, as a multiple of grad p: exact.

    The policy is that of `naive_rounds_weight`; the gradient is again a mean over the answers.
    """
    expected = 0.0
    for right in range(size + 1):
        scale = 1 / math.sqrt(Fraction(right, size) + LEAST_RATE)
        expected += _binomial(size, right, p) * scale * _slope(p, right, size - right, right / size) / size
    return expected / (p * (1 - p))


def _slope(p: float, rights: int, wrongs: int, mean: float) -> float:
    """The sum of (r - mean) grad log over so many right and wrong answers, as a multiple of g."""
    return rights * (1 - mean) * (1 - p) + wrongs * mean * p


def _count(right: Sequence[bool], valid: Sequence[bool]) -> tuple[int, int]:
    """Right and wrong answers that count."""
    counted = [is_right for is_right, ok in zip(right, valid, strict=True) if ok]
    return sum(counted), len(counted) - sum(counted)


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)

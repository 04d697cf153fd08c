"""How often the prompts of a run were answered right so far, and what follows for asking them again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

PRIOR = 0.5
"""What is added to right and to wrong answers: Jeffreys' prior, which finds always and never as likely as sometimes."""

DECAY = 0.8
"""What older answers of a prompt count each time that it is asked again, because the policy has changed meanwhile."""

MOST_PROMPTS = 1 << 16
"""Prompts that are remembered; then those are forgotten that were not asked for the longest time."""


class PromptCounts(NamedTuple):
    """Answers to a prompt; old ones count less than 1."""

    right: float = 0.0
    wrong: float = 0.0

    @property
    def rate(self) -> float:
        """The expected success rate, with a posterior of Beta(right + 1/2, wrong + 1/2)."""
        return (self.right + PRIOR) / (self.right + self.wrong + 2 * PRIOR)


UNKNOWN = PromptCounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptHistory:
    """What a run remembers of its prompts."""

    counts: Mapping[str, PromptCounts] = field(default_factory=dict)
    """By the id of the example, those that were asked last at the end."""

    def of(self, example_id: str) -> PromptCounts:
        return self.counts.get(example_id, UNKNOWN)

    def note(self, answered: Iterable[tuple[str, PromptCounts]]) -> PromptHistory:
        """The history after these answers, by the ids of their examples."""
        counts = dict(self.counts)
        for example_id, new in answered:
            old = counts.pop(example_id, UNKNOWN)
            counts[example_id] = PromptCounts(right=DECAY * old.right + new.right, wrong=DECAY * old.wrong + new.wrong)
        for example_id in list(counts)[: max(len(counts) - MOST_PROMPTS, 0)]:
            del counts[example_id]
        return PromptHistory(counts=counts)


def asking_chance(counts: PromptCounts, group_size: int, floor: float) -> float:
    """How likely a prompt is asked when its turn comes: as likely as a group of its answers is mixed.

    That is seen relative to a prompt that nothing is known of, which is always asked; it is never less than `floor`.
    """
    return max(floor, min(1.0, _mixed(counts, group_size) / _mixed(UNKNOWN, group_size)))


def _mixed(counts: PromptCounts, group_size: int) -> float:
    """The probability that answers of a prompt are not all right and not all wrong: 1 - E[p^G] - E[(1 - p)^G]."""
    right, wrong = counts.right + PRIOR, counts.wrong + PRIOR
    return 1 - _all_alike(right, wrong, group_size) - _all_alike(wrong, right, group_size)


def _all_alike(a: float, b: float, group_size: int) -> float:
    """E[p^G] for p of Beta(a, b)."""
    return math.prod((a + i) / (a + b + i) for i in range(group_size))

"""Holding examples out of training, to be asked in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.data.randomness import random_for
from verifine.types import Example

SMALLEST_TO_SPLIT = 20
"""With fewer examples than this every one is needed for training."""


def hold_out(examples: Sequence[Example], seed: int, size: int) -> tuple[list[Example], list[Example]]:
    """Training and held-out examples, each in the order they came in.

    A tenth is held out, at most `size`; nothing, where there are fewer than 20 examples.
    """
    count = min(size, len(examples) // 10) if len(examples) >= SMALLEST_TO_SPLIT else 0
    order = list(range(len(examples)))
    random_for("hold out", seed).shuffle(order)
    held = set(order[:count])
    train = [example for index, example in enumerate(examples) if index not in held]
    return train, [examples[index] for index in sorted(held)]

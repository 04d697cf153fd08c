"""The order in which examples are drawn: shuffled epochs, with an integer as the only state."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from verifine.data.randomness import random_for
from verifine.errors import DataError
from verifine.types import Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """One example, drawn in one epoch."""

    example: Example
    epoch: int

    @property
    def id(self) -> str:
        """Unique within a run: an example drawn again in a later epoch has another id."""
        return self.example.id if self.epoch == 0 else f"{self.example.id}@{self.epoch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Examples to ask, and those before them that were left out."""

    draws: tuple[Draw, ...]
    skipped: tuple[Draw, ...]
    position: int
    """Where the next selection begins."""


class PromptSampler:
    """Epochs of shuffled examples.

    `draw` depends on the examples, the seed and the position alone, so a checkpoint holds only the position. Only
    examples that are drawn are read.
    """

    def __init__(self, examples: Sequence[Example], seed: int) -> None:
        if not examples:
            raise DataError("there are no examples to draw from; give the training data at least one")
        self._examples = examples
        self._seed = seed

    def draw(self, position: int, count: int) -> list[Draw]:
        """The `count` draws from `position` on; the next call starts at `position + count`."""
        assert position >= 0
        assert count >= 0
        return [self._at(each) for each in range(position, position + count)]

    def select(self, position: int, count: int, chance: Callable[[str], float]) -> Selection:
        """`count` draws from `position` on, in the same order, each left out unless its chance comes true.

        `chance` is that of an example, by its id; one of at least 1 is always asked. Each position has a random number
        of its own, so what is selected follows from seed, position and chances alone.
        """
        draws: list[Draw] = []
        skipped: list[Draw] = []
        while len(draws) < count:
            draw = self._at(position)
            asks = random_for("ask", self._seed, position).random() < chance(draw.example.id)
            (draws if asks else skipped).append(draw)
            position += 1
        return Selection(draws=tuple(draws), skipped=tuple(skipped), position=position)

    def _at(self, position: int) -> Draw:
        epoch, index = divmod(position, len(self._examples))
        order = _permutation(self._seed, epoch, len(self._examples))
        return Draw(example=self._examples[order[index]], epoch=epoch)


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, size: int) -> Sequence[int]:
    """The order of one epoch. Cached, because a step usually draws from one or two epochs."""
    order = array("Q", range(size))
    random_for("epoch", seed, epoch).shuffle(order)
    return order

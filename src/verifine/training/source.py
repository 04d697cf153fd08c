"""The prompts of a run, in the order of training."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verifine.data import Draw, Problems, PromptCounts, PromptHistory, PromptSampler
from verifine.errors import DataError
from verifine.types import Example, Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLengths:
    """How long the prompts of a dataset are, in tokens."""

    prompts: int
    shortest: int
    median: int
    p95: int
    """95 % of the prompts are not longer."""
    longest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedPrompts:
    """The prompts of a step, or of a part of it."""

    prompts: tuple[Prompt, ...]
    example_ids: tuple[str, ...]
    """Of the example that each is made of: the same in every epoch."""
    skipped: tuple[str, ...]
    """The examples that were left out, because they would probably teach nothing."""
    position: int
    """Where the next prompts are."""


class PromptSource:
    """Shuffled epochs of prompts; the position in them, and what is remembered of prompts, is the only state.

    A prompt is rendered when it is drawn, so memory holds the prompts of one step only.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        render: Callable[[Example], Prompt],
        seed: int,
        chance: Callable[[PromptCounts], float] | None = None,
        count_tokens: Callable[[Example], int] | None = None,
    ) -> None:
        """`chance` says how likely a prompt is asked when its turn comes. None: it is asked.

        `count_tokens` says how long an example's prompt is, and raises what `render` would. None: it is rendered.
        """
        self._examples = examples
        self._sampler = PromptSampler(examples, seed)
        self._render = render
        self._chance = chance
        self._count_tokens = count_tokens or (lambda example: len(render(example).token_ids))
        self._lengths: PromptLengths | None = None

    def draw(self, position: int, count: int) -> list[Prompt]:
        """The `count` prompts from `position` on. An example of a later epoch is a prompt of its own."""
        return [self._prompt(draw) for draw in self._sampler.draw(position, count)]

    @property
    def reads_history(self) -> bool:
        return self._chance is not None

    def select(self, position: int, count: int, history: PromptHistory) -> SelectedPrompts:
        """As `draw`, but for prompts that are left out because of what is remembered of them."""
        chance = self._chance
        asks = lambda example_id: 1.0 if chance is None else chance(history.of(example_id))  # noqa: E731
        selection = self._sampler.select(position, count, asks)
        return SelectedPrompts(
            prompts=tuple(map(self._prompt, selection.draws)),
            example_ids=tuple(draw.example.id for draw in selection.draws),
            skipped=tuple(draw.example.id for draw in selection.skipped),
            position=selection.position,
        )

    def _prompt(self, draw: Draw) -> Prompt:
        return replace(self._render(draw.example), id=draw.id)

    def measure(self) -> PromptLengths:
        """Counts the tokens of every prompt, one at a time, when it is called first.

        Raises:
            DataError: prompts that do not fit the model, the first of them by name.
        """
        if self._lengths is None:
            self._lengths = _measure(self._examples, self._count_tokens)
        return self._lengths


def _measure(examples: Sequence[Example], count_tokens: Callable[[Example], int]) -> PromptLengths:
    lengths, problems = array("Q"), Problems()
    for example in examples:
        try:
            lengths.append(count_tokens(example))
        except DataError as error:
            problems.add_cause(str(error), example.label)
    problems.check()
    ordered = np.sort(np.array(lengths, dtype=np.uint64))

    def at(share: float) -> int:
        """The smallest length that this share of the prompts does not exceed."""
        return int(ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)])

    return PromptLengths(prompts=len(ordered), shortest=at(0), median=at(0.5), p95=at(0.95), longest=at(1))

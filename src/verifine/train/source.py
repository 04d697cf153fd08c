"""Where a run's prompts come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from verifine.data import PromptSampler
from verifine.types import Example, Prompt


class PromptSource:
    """Shuffled epochs of prompts; a position is all there is to remember."""

    def __init__(self, examples: Sequence[Example], prompts: Mapping[str, Prompt], seed: int) -> None:
        self._sampler = PromptSampler(examples, seed)
        self._prompts = prompts

    def draw(self, position: int, count: int) -> list[Prompt]:
        """The `count` prompts from `position` on. An example of a later epoch is a prompt of its own."""
        draws = self._sampler.draw(position, count)
        return [replace(self._prompts[draw.example.id], id=draw.id) for draw in draws]

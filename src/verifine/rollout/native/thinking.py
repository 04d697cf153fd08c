"""The forced end of a thought while answers are decoded: as a constraint of an answer, and for all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.models.thinking import ThinkingLimit, ThinkingProgress


class ThinkingConstraint:
    """Lets an answer go on with anything, but with the end of its thought where its budget is spent."""

    def __init__(self, limit: ThinkingLimit, progress: ThinkingProgress) -> None:
        self._limit = limit
        self._progress = progress

    def allowed(self) -> Bool[Tensor, " V"] | None:
        due = self._limit.due(self._progress)
        return None if due is None else torch.arange(self._limit.vocabulary) == due

    def accept(self, token_id: int) -> None:
        self._progress = self._limit.after(self._progress, token_id)

    def copy(self) -> Self:
        return type(self)(self._limit, self._progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingRows:
    """`ThinkingLimit` for rows of a fixed shape, without asking the host: R rows. Changed in place, for CUDA graphs."""

    limit: ThinkingLimit
    end: Int[Tensor, " E"]
    """The tokens of `limit.end`."""
    begun: Bool[Tensor, " R"]
    """Whether the template has opened the thought."""
    thinks: Bool[Tensor, " R"]
    spent: Int[Tensor, " R"]
    forced: Int[Tensor, " R"]
    """As in `ThinkingProgress`, of every row."""

    @classmethod
    def begin(cls, limit: ThinkingLimit, opened: Sequence[str], device: torch.device) -> ThinkingRows:
        """`opened`: as in `Prompt`, of every row."""
        begun = torch.tensor([limit.begin(each).thinks for each in opened], device=device)
        count = torch.zeros(len(opened), dtype=torch.long, device=device)
        return cls(
            limit=limit,
            end=torch.tensor(limit.end, device=device),
            begun=begun,
            thinks=begun.clone(),
            spent=count,
            forced=count.clone(),
        )

    def reset(self) -> None:
        """Goes back to where no token is written."""
        self.thinks.copy_(self.begun)
        self.spent.zero_()
        self.forced.zero_()

    def write(
        self, drawn: Int[Tensor, " R"], logprobs: Float[Tensor, " R"]
    ) -> tuple[Int[Tensor, " R"], Float[Tensor, " R"]]:
        """The next tokens, with what is due in place of what was drawn; nothing else could have been drawn there."""
        tags = self.limit.tags
        due = (self.forced > 0) | (self.thinks & (self.spent >= self.limit.tokens))
        tokens = torch.where(due, self.end[self.forced], drawn)
        logprobs = torch.where(due, 0.0, logprobs)

        written = torch.where(due, self.forced + 1, 0)
        is_complete = written == len(self.end)
        opens, closes = ~due & (tokens == tags.opening), ~due & (tokens == tags.closing)
        self.spent.add_(~due & self.thinks & ~opens & ~closes)
        self.thinks.copy_((self.thinks & ~closes & ~is_complete) | opens)
        self.forced.copy_(torch.where(is_complete, 0, written))
        return tokens, logprobs

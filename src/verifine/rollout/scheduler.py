"""The scheduler: answers requests token by token. New ones join those that are being answered at the next token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from verifine.types import FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A prompt, and how to answer it."""

    id: str
    token_ids: tuple[int, ...]
    """The prompt."""
    keys: tuple[int, ...]
    """For each sample, the key of its random numbers (64 bits). A sample depends on its own key alone."""
    max_new_tokens: int
    has_ended: Callable[[Sequence[int]], bool]
    """Whether an answer ends with the last of these tokens, given that it does not end with an earlier one."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Only the likeliest tokens that together have this probability are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEvent:
    """A token of an answer."""

    request_id: str
    sample: int
    token_id: int
    logprob: float
    """Under the distribution it was drawn from; of the likeliest token at temperature 0, as at temperature 1."""
    finish_reason: FinishReason | None
    """None: the answer goes on."""


class Scheduler(Protocol):
    """Answers requests at the same time. An answer does not depend on what is answered beside it."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is waiting or being answered."""
        ...

    def add(self, request: Request) -> None:
        """Puts a request behind those that wait.

        Raises:
            EngineError: it would not fit even alone.
        """
        ...

    def step(self) -> list[TokenEvent]:
        """The next token of everything that is being answered, after what waits and fits has joined."""
        ...

    def cancel(self, request_id: str) -> None:
        """Drops a request with its unfinished answers. An unknown one is ignored, as it may have ended."""
        ...

"""The scheduler: answers requests token by token. New ones join those that are being answered at the next token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from jaxtyping import Bool
from torch import Tensor

from verifine.types import FinishReason


class Constraint(Protocol):
    """Which tokens an answer may go on with. It follows one answer. V vocabulary."""

    def allowed(self) -> Bool[Tensor, " V"] | None:
        """Of the next token; at least one is. None: all of them."""
        ...

    def accept(self, token_id: int) -> None:
        """The answer has gone on with this token."""
        ...

    def copy(self) -> Self:
        """For an answer that is the same up to here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogitChanges:
    """What is changed of the model's logits before a token is drawn."""

    bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these tokens."""
    presence_penalty: float = 0.0
    """Taken from the logit of every token that the answer has."""
    frequency_penalty: float = 0.0
    """Taken from it once more each time the answer has it."""
    constrain: Callable[[], Constraint] | None = None
    """Makes the constraint of an answer. None: any token may follow."""

    @property
    def is_of_logits(self) -> bool:
        """Whether a logit is changed besides those that a constraint rules out."""
        return bool(self.bias or self.presence_penalty or self.frequency_penalty)


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
    changes: LogitChanges | None = None
    """None: tokens are drawn from the model's own distribution."""
    top_logprobs: int | None = None
    """How many of the likeliest tokens `TokenEvent.model` names. None: it is not computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelLogprobs:
    """Log-probabilities of the model itself: at temperature 1, without top-p and changes."""

    logprob: float
    """Of the token that was drawn."""
    likeliest: tuple[tuple[int, float], ...]
    """The likeliest tokens with theirs, the first one first."""


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
    model: ModelLogprobs | None = None
    """None: the request does not ask."""


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

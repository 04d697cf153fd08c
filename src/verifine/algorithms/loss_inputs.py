"""What a loss compares the policy's log-probabilities with, and how far it lets a ratio go."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """How far a ratio may go before it earns no more."""

    low: float
    high: float
    dual: float | None = None
    """Upper bound of a term of negative advantage, as a multiple of -advantage. None: no such bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossInputs:
    """Action tokens of whole rollouts, with everything that their log-probabilities are compared with."""

    row: Int[Tensor, " n"]
    advantages: Float[Tensor, " n"]
    old_logprobs: Float[Tensor, " n"]
    behaviour_logprobs: Float[Tensor, " n"]
    reference_logprobs: Float[Tensor, " n"] | None = None
    """None: there is no KL penalty."""
    old_values: Float[Tensor, " n"] | None = None
    """None: there is no critic."""
    returns: Float[Tensor, " n"] | None = None
    """None: there is no critic."""

"""Inverse-CDF sampling from logits and uniform numbers, in one pass over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

BIN = 256
"""Vocabulary entries per bin: a draw finds its bin first, then its token in the bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Which sample draws from which distribution. Axes: S samples, R distributions."""

    rows: Int[Tensor, " S"]
    uniforms: Float[Tensor, " S"]


def choose_tokens(
    logits: Float[Tensor, "R V"], draws: Draws, temperature: float
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """A token for each sample, and its log-probability under the distribution it was drawn from.

    Sample s gets the first token whose cumulative probability in row `rows[s]` exceeds `uniforms[s]`. At temperature 0
    it gets the most likely one, with its log-probability at temperature 1.
    """
    if temperature == 0:
        logits = logits.float()
        best = logits.argmax(dim=-1)
        logprobs = logits.gather(1, best[:, None]).squeeze(1) - logits.logsumexp(dim=-1)
        return best[draws.rows], logprobs[draws.rows]
    probabilities = token_probabilities(logits, temperature)
    tokens = _inverse_cdf(probabilities, draws)
    return tokens, torch.log(probabilities[draws.rows, tokens])


def token_probabilities(logits: Float[Tensor, "R V"], temperature: float) -> Float[Tensor, "R V"]:
    """The distributions that tokens are drawn from; at temperature 0, where no token is drawn, as at temperature 1."""
    logits = logits.float() if temperature in (0, 1) else logits.float() / temperature
    return torch.softmax(logits, dim=-1)


def _inverse_cdf(probabilities: Float[Tensor, "R V"], draws: Draws) -> Int[Tensor, " S"]:
    """Bins are summed and searched in float64, so that a bin of positive weight is found wherever a draw falls."""
    rows, vocabulary = probabilities.shape
    whole = vocabulary - vocabulary % BIN
    sums = probabilities[:, :whole].view(rows, -1, BIN).sum(dim=-1, dtype=torch.float64)
    if whole < vocabulary:
        sums = torch.cat((sums, probabilities[:, whole:].sum(dim=-1, keepdim=True, dtype=torch.float64)), dim=1)
    bins = sums.cumsum(dim=-1)[draws.rows]
    drawn = draws.uniforms.to(torch.float64) * bins[:, -1]
    chosen = _first_above(bins, drawn)
    before = torch.where(chosen > 0, bins.gather(1, (chosen - 1).clamp(min=0)[:, None]).squeeze(1), 0)

    entries = chosen[:, None] * BIN + torch.arange(BIN, device=chosen.device)
    inside = probabilities[draws.rows[:, None], entries.clamp(max=vocabulary - 1)].to(torch.float64)
    inside = inside.masked_fill(entries >= vocabulary, 0).cumsum(dim=-1)
    return chosen * BIN + _first_above(inside, (drawn - before).clamp(min=0))


def _first_above(cumulative: Float[Tensor, "S K"], drawn: Float[Tensor, " S"]) -> Int[Tensor, " S"]:
    """Where each row first exceeds its draw; a draw that rounding lifts to the row's total stays within the row."""
    total = cumulative[:, -1]
    kept = torch.minimum(drawn, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, kept[:, None], right=True).squeeze(1)

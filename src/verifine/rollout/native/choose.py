"""Inverse-CDF sampling from logits and uniform numbers, in one pass over the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.compiled.kernels import TYPES, find_kernels

BIN = 256
"""Vocabulary entries per bin: a draw finds its bin first, then its token in the bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """Which sample draws from which distribution. Axes: S samples, R distributions."""

    rows: Int[Tensor, " S"]
    uniforms: Float[Tensor, " S"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSettings:
    """How the next token of a row is drawn."""

    temperature: float
    top_p: float


def choose_tokens_by_row(
    logits: Float[Tensor, "R V"], draws: Draws, settings: Sequence[RowSettings]
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """As `choose_tokens`, with settings for each of the R rows; rows with equal ones are drawn from together."""
    distinct = list(dict.fromkeys(settings))
    if len(distinct) == 1:
        return choose_tokens(logits, draws, distinct[0].temperature, distinct[0].top_p)
    tokens = torch.empty_like(draws.rows)
    logprobs = logits.new_empty(len(draws.rows), dtype=torch.promote_types(logits.dtype, torch.float32))
    for each in distinct:
        rows = torch.tensor([row for row, own in enumerate(settings) if own == each], device=logits.device)
        chosen = torch.isin(draws.rows, rows)
        part = Draws(rows=torch.searchsorted(rows, draws.rows[chosen]), uniforms=draws.uniforms[chosen])
        tokens[chosen], logprobs[chosen] = choose_tokens(logits[rows], part, each.temperature, each.top_p)
    return tokens, logprobs


def choose_tokens(
    logits: Float[Tensor, "R V"], draws: Draws, temperature: float, top_p: float = 1.0
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """A token for each sample, and its log-probability under the distribution it was drawn from.

    Sample s gets the first token whose cumulative probability in row `rows[s]` exceeds `uniforms[s]`. At temperature 0
    it gets the most likely one, with its log-probability at temperature 1.
    """
    kernels = find_kernels() if logits.device.type == "cpu" and logits.dtype in TYPES else None
    if kernels is not None and (top_p >= 1 or temperature == 0):
        return kernels.draw(logits, draws.rows.contiguous(), draws.uniforms.double().contiguous(), temperature)
    return choose_in_torch(logits, draws, temperature, top_p)


def choose_in_torch(
    logits: Float[Tensor, "R V"], draws: Draws, temperature: float, top_p: float
) -> tuple[Int[Tensor, " S"], Float[Tensor, " S"]]:
    """As `choose_tokens`, on any device."""
    if temperature == 0:
        logits = logits.float()
        best = logits.argmax(dim=-1)
        logprobs = logits.gather(1, best[:, None]).squeeze(1) - logits.logsumexp(dim=-1)
        return best[draws.rows], logprobs[draws.rows]
    probabilities = token_probabilities(logits, temperature)
    if top_p < 1:
        probabilities = _nucleus(probabilities, top_p)
    tokens = _inverse_cdf(probabilities, draws)
    return tokens, torch.log(probabilities[draws.rows, tokens])


def token_probabilities(logits: Float[Tensor, "R V"], temperature: float) -> Float[Tensor, "R V"]:
    """The distributions that tokens are drawn from; at temperature 0, where no token is drawn, as at temperature 1."""
    logits = logits.float() if temperature in (0, 1) else logits.float() / temperature
    return torch.softmax(logits, dim=-1)


def _nucleus(probabilities: Float[Tensor, "R V"], top_p: float) -> Float[Tensor, "R V"]:
    """The fewest likeliest tokens that together have `top_p`, at least one, as a distribution (arXiv:1904.09751)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1, dtype=torch.float64) - ordered
    kept = torch.where(before < top_p, ordered, 0)
    kept[:, 0] = ordered[:, 0]
    truncated = torch.zeros_like(probabilities).scatter_(1, order, kept)
    return truncated.div_(truncated.sum(dim=-1, keepdim=True))


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

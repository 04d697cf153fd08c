"""From logits and uniform numbers to tokens: inverse-CDF sampling."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def choose_tokens(
    logits: Float[Tensor, "R V"], uniforms: Float[Tensor, " R"], temperature: float
) -> tuple[Int[Tensor, " R"], Float[Tensor, " R"]]:
    """One token a row, and its log-probability under the distribution it was drawn from.

    Row r gets the first token whose cumulative probability exceeds `uniforms[r]`. At temperature 0 it gets the most
    likely one, with its log-probability at temperature 1.
    """
    logits = logits.float()
    if temperature == 0:
        tokens = logits.argmax(dim=-1)
    else:
        logits = logits / temperature
        cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
        # Rounding leaves the last entry near 1, not at it, and can lift a draw to 1: it is kept below what there is.
        total = cumulative[:, -1]
        drawn = torch.minimum(uniforms.to(total.dtype) * total, torch.nextafter(total, torch.zeros_like(total)))
        tokens = torch.searchsorted(cumulative, drawn[:, None], right=True).squeeze(1)
    logprobs = logits.gather(1, tokens[:, None]).squeeze(1) - logits.logsumexp(dim=-1)
    return tokens, logprobs

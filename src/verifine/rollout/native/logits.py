"""What requests change of the model's logits, and what they want to know of the unchanged ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.vocabulary import IMPOSSIBLE
from verifine.rollout.native.shared_rows import SharedRow
from verifine.rollout.scheduler import LogitChanges, ModelLogprobs


def change_logits(logits: Float[Tensor, "R V"], rows: Sequence[SharedRow]) -> Float[Tensor, "R V"]:
    """The logits that the rows' next tokens are drawn from; the same tensor where no row changes any.

    Penalties are those of OpenAI's API: logit - frequency * count - presence * [count > 0], with the count of the token
    in the answer.
    """
    allowed = [None if row.constraint is None else row.constraint.allowed() for row in rows]
    changes = [row.request.changes for row in rows]
    if not any(each is not None and each.is_of_logits for each in changes) and all(each is None for each in allowed):
        return logits
    changed = logits.to(torch.float32, copy=True)
    for place, row in enumerate(rows):
        if (own := changes[place]) is not None:
            _change(changed[place], own, row.token_ids)
        if (mask := allowed[place]) is not None:
            changed[place].masked_fill_(~mask.to(changed.device), IMPOSSIBLE)
    return changed


def _change(logits: Float[Tensor, " V"], changes: LogitChanges, written: Sequence[int]) -> None:
    """In place."""
    if changes.bias:
        _add(logits, changes.bias)
    if changes.presence_penalty or changes.frequency_penalty:
        presence, frequency = changes.presence_penalty, changes.frequency_penalty
        _add(logits, {token: -presence - frequency * count for token, count in Counter(written).items()})


def _add(logits: Float[Tensor, " V"], by_token: Mapping[int, float]) -> None:
    tokens = torch.tensor(list(by_token), dtype=torch.long, device=logits.device)
    logits.index_add_(0, tokens, torch.tensor(list(by_token.values()), dtype=logits.dtype, device=logits.device))


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDistribution:
    """What the model gives the next token of a row."""

    logprobs: Float[Tensor, " V"]
    likeliest: tuple[tuple[int, float], ...]

    def of(self, token_id: int) -> ModelLogprobs:
        return ModelLogprobs(logprob=self.logprobs[token_id].item(), likeliest=self.likeliest)


def own_distributions(logits: Float[Tensor, "R V"], rows: Sequence[SharedRow]) -> dict[int, OwnDistribution]:
    """For the places of the rows whose requests ask for it."""
    asked = {place: row.request.top_logprobs for place, row in enumerate(rows) if row.request.top_logprobs is not None}
    if not asked:
        return {}
    logprobs = torch.log_softmax(logits[list(asked)].float(), dim=-1)
    values, tokens = logprobs.topk(min(max(asked.values()), logprobs.shape[1]), dim=-1)
    pairs = [list(zip(*each, strict=True)) for each in zip(tokens.tolist(), values.tolist(), strict=True)]
    return {
        place: OwnDistribution(logprobs=own, likeliest=tuple(likeliest[:count]))
        for (place, count), own, likeliest in zip(asked.items(), logprobs, pairs, strict=True)
    }

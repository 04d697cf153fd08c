"""The loss of one update, a micro-batch at a time, and what its parts turned out to be."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.algorithms.inputs import LossInputs
from verifine.algorithms.kl import k3
from verifine.algorithms.loss import Loss
from verifine.batch import Estimates
from verifine.learner.learner import TrainingBatch


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOutput:
    """What the model says of some tokens now."""

    logprobs: Float[Tensor, " n"]
    entropy: Float[Tensor, " n"]
    values: Float[Tensor, " n"] | None
    """None: there is no critic."""


class MetricSums:
    """Means, extremes and sums over the tokens of an update; nothing leaves the device before the end."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._highest: dict[str, Tensor] = {}
        self._lowest: dict[str, Tensor] = {}
        self._totals: dict[str, Tensor] = {}

    def mean(self, name: str, values: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros((), device=values.device)) + values.sum()
        self._counts[name] = self._counts.get(name, 0) + len(values)

    def highest(self, name: str, values: Tensor) -> None:
        largest = values.max()
        self._highest[name] = torch.maximum(self._highest.get(name, largest), largest)

    def lowest(self, name: str, values: Tensor) -> None:
        smallest = values.min()
        self._lowest[name] = torch.minimum(self._lowest.get(name, smallest), smallest)

    def total(self, name: str, value: Tensor) -> None:
        self._totals[name] = self._totals.get(name, torch.zeros((), device=value.device)) + value

    def metrics(self) -> dict[str, float]:
        return {
            **{name: total.item() for name, total in self._totals.items()},
            **{name: total.item() / self._counts[name] for name, total in self._sums.items()},
            **{name: value.item() for name, value in (self._highest | self._lowest).items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`sum(weights * terms)` over the whole token axis of a lesson."""

    loss: Loss
    weights: Float[Tensor, " N"]
    row: Int[Tensor, " N"]
    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"] | None
    behaviour_logprobs: Float[Tensor, " N"]
    estimates: Estimates
    tally: MetricSums = field(default_factory=MetricSums)

    @classmethod
    def of(cls, lesson: TrainingBatch, loss: Loss, device: torch.device, dtype: torch.dtype) -> Objective:
        """The weights are those of the whole lesson, whatever part of it is evaluated at a time."""
        batch, returns = lesson.batch, lesson.credit.returns
        return cls(
            loss=loss,
            weights=loss.weights(batch.row, batch.group_size, batch.max_tokens, dtype).to(device),
            row=batch.row.to(device),
            advantages=lesson.credit.advantages.to(device, dtype),
            returns=None if returns is None else returns.to(device, dtype),
            behaviour_logprobs=batch.behaviour_logprobs.to(device, dtype),
            estimates=lesson.estimates.to(device),
        )

    def evaluate(self, index: Int[Tensor, " n"], reading: ForwardOutput) -> Tensor:
        """The part of the loss that is on some tokens, which are those of whole rollouts."""
        tokens = self._tokens(index, reading)
        weights = self.weights[index]
        loss = (weights * self.loss.policy_terms(reading.logprobs, reading.entropy, tokens)).sum()
        self._note_policy(tokens, reading, loss.detach())
        if reading.values is None:
            return loss
        value_loss = (weights * self.loss.value_terms(reading.values, tokens)).sum()
        self._note_values(tokens, reading.values.detach(), value_loss.detach())
        return loss + value_loss

    def _tokens(self, index: Int[Tensor, " n"], reading: ForwardOutput) -> LossInputs:
        now = self.estimates.part(index)
        return LossInputs(
            row=self.row[index],
            advantages=self.advantages[index],
            old_logprobs=reading.logprobs.detach() if now.old_logprobs is None else now.old_logprobs,
            behaviour_logprobs=self.behaviour_logprobs[index],
            reference_logprobs=now.reference_logprobs,
            old_values=now.values,
            returns=None if self.returns is None else self.returns[index],
        )

    @torch.no_grad()
    def _note_policy(self, tokens: LossInputs, reading: ForwardOutput, loss: Tensor) -> None:
        tally, logprobs = self.tally, reading.logprobs
        ratio = torch.exp(self.loss.log_ratio(logprobs, tokens))
        held = self.loss.held_back(ratio, tokens.advantages)
        low, high, dual = held.low.float(), held.high.float(), held.dual.float()
        mismatch = (tokens.old_logprobs - tokens.behaviour_logprobs).abs()
        tally.total("loss", loss)
        tally.mean("entropy", reading.entropy)
        tally.mean("mismatch/mean", mismatch)
        tally.highest("mismatch/max", mismatch)
        tally.mean("mismatch/kl", k3(tokens.behaviour_logprobs, tokens.old_logprobs))
        tally.mean("ratio/mean", ratio)
        tally.highest("ratio/max", ratio)
        tally.lowest("ratio/min", ratio)
        tally.mean("clip_ratio/low_mean", low)
        tally.mean("clip_ratio/high_mean", high)
        tally.mean("clip_ratio/region_mean", low + high)
        if self.loss.clip.dual is not None:
            tally.mean("clip_ratio/dual_mean", dual)
        if self.loss.importance_cap is not None:
            factor = torch.exp(tokens.old_logprobs - tokens.behaviour_logprobs)
            tally.mean("importance/mean", factor)
            tally.mean("importance/capped_mean", (factor > self.loss.importance_cap).float())
        if tokens.reference_logprobs is not None:
            tally.mean("kl", k3(logprobs, tokens.reference_logprobs))

    @torch.no_grad()
    def _note_values(self, tokens: LossInputs, values: Float[Tensor, " n"], value_loss: Tensor) -> None:
        assert self.loss.value is not None
        assert tokens.old_values is not None
        assert tokens.returns is not None
        tally = self.tally
        tally.total("loss", value_loss)
        tally.total("critic/loss", value_loss)
        tally.mean("critic/value_mean", tokens.old_values)
        tally.mean("critic/return_mean", tokens.returns)
        tally.mean("critic/clip_ratio", self.loss.value_held_back(values, tokens).float())


def explained_variance(values: Float[Tensor, " N"], returns: Float[Tensor, " N"]) -> float | None:
    """1 - Var(return - value) / Var(return): 1 is a perfect critic, 0 one that says the mean; None: all are equal."""
    total = returns.var(correction=0)
    return None if total <= 0 else (1 - (returns - values).var(correction=0) / total).item()

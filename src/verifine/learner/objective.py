"""The loss of one update, a micro-batch at a time, and its metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.algorithms.kl import k3
from verifine.algorithms.loss import Loss
from verifine.algorithms.loss_inputs import LossInputs
from verifine.batch import Estimates
from verifine.learner.learner import TokenStatistics, TrainingBatch
from verifine.learner.metric_sums import MetricAccumulator


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardOutput:
    """What a forward pass gives for some tokens."""

    logprobs: Float[Tensor, " n"]
    entropy: Float[Tensor, " n"]
    values: Float[Tensor, " n"] | None
    """None: there is no critic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """`sum(weights * terms)` over the whole token axis of a training batch."""

    loss: Loss
    weights: Float[Tensor, " N"]
    row: Int[Tensor, " N"]
    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"] | None
    behaviour_logprobs: Float[Tensor, " N"]
    estimates: Estimates
    entropy: Float[Tensor, " N"]
    """Filled in as micro-batches are evaluated, like `ratio`; NaN before."""
    ratio: Float[Tensor, " N"]
    metrics: MetricAccumulator = field(default_factory=MetricAccumulator)

    @classmethod
    def of(cls, training_batch: TrainingBatch, loss: Loss, device: torch.device, dtype: torch.dtype) -> Objective:
        """The weights are those of the whole training batch, whatever part of it is evaluated at a time."""
        batch, advantages = training_batch.batch, training_batch.advantages
        unknown = torch.full((len(batch.row),), float("nan"), dtype=dtype, device=device)
        weights = loss.weights(batch.row, batch.group_size, batch.max_tokens, dtype)
        if training_batch.group_weights is not None:
            weights = weights * training_batch.group_weights.to(dtype)[batch.row // batch.group_size]
        return cls(
            loss=loss,
            weights=weights.to(device),
            row=batch.row.to(device),
            advantages=advantages.advantages.to(device, dtype),
            returns=None if advantages.returns is None else advantages.returns.to(device, dtype),
            behaviour_logprobs=batch.behaviour_logprobs.to(device, dtype),
            estimates=training_batch.estimates.to(device),
            entropy=unknown,
            ratio=unknown.clone(),
        )

    def evaluate(self, index: Int[Tensor, " n"], output: ForwardOutput) -> Tensor:
        """The part of the loss that comes from some tokens, which are those of whole rollouts."""
        inputs = self._inputs(index, output)
        weights = self.weights[index]
        loss = (weights * self.loss.policy_terms(output.logprobs, output.entropy, inputs)).sum()
        self._note_policy(index, inputs, output, loss.detach())
        if output.values is None:
            return loss
        value_loss = (weights * self.loss.value_terms(output.values, inputs)).sum()
        self._note_values(inputs, output.values.detach(), value_loss.detach())
        return loss + value_loss

    def token_statistics(self) -> TokenStatistics:
        """Entropy and ratio of every token that was evaluated."""
        return TokenStatistics(entropy=self.entropy.cpu(), ratio=self.ratio.cpu())

    def _inputs(self, index: Int[Tensor, " n"], output: ForwardOutput) -> LossInputs:
        now = self.estimates.part(index)
        return LossInputs(
            row=self.row[index],
            advantages=self.advantages[index],
            old_logprobs=output.logprobs.detach() if now.old_logprobs is None else now.old_logprobs,
            behaviour_logprobs=self.behaviour_logprobs[index],
            reference_logprobs=now.reference_logprobs,
            old_values=now.values,
            returns=None if self.returns is None else self.returns[index],
        )

    @torch.no_grad()
    def _note_policy(self, index: Int[Tensor, " n"], inputs: LossInputs, output: ForwardOutput, loss: Tensor) -> None:
        metrics, logprobs = self.metrics, output.logprobs
        ratio = torch.exp(self.loss.log_ratio(logprobs, inputs))
        self.entropy[index], self.ratio[index] = output.entropy.to(self.entropy), ratio.to(self.ratio)
        held = self.loss.held_back(ratio, inputs.advantages)
        low, high, dual = held.low.float(), held.high.float(), held.dual.float()
        mismatch = (inputs.old_logprobs - inputs.behaviour_logprobs).abs()
        metrics.total("loss", loss)
        metrics.mean("entropy", output.entropy)
        metrics.mean("mismatch/mean", mismatch)
        metrics.highest("mismatch/max", mismatch)
        metrics.mean("mismatch/kl", k3(inputs.behaviour_logprobs, inputs.old_logprobs))
        metrics.mean("ratio/mean", ratio)
        metrics.highest("ratio/max", ratio)
        metrics.lowest("ratio/min", ratio)
        metrics.mean("clip_ratio/low_mean", low)
        metrics.mean("clip_ratio/high_mean", high)
        metrics.mean("clip_ratio/region_mean", low + high)
        if self.loss.clip.dual is not None:
            metrics.mean("clip_ratio/dual_mean", dual)
        if self.loss.importance_cap is not None:
            factor = torch.exp(inputs.old_logprobs - inputs.behaviour_logprobs)
            metrics.mean("importance/mean", factor)
            metrics.mean("importance/capped_mean", (factor > self.loss.importance_cap).float())
        if inputs.reference_logprobs is not None:
            metrics.mean("kl", k3(logprobs, inputs.reference_logprobs))

    @torch.no_grad()
    def _note_values(self, inputs: LossInputs, values: Float[Tensor, " n"], value_loss: Tensor) -> None:
        assert inputs.old_values is not None
        assert inputs.returns is not None
        metrics = self.metrics
        metrics.total("loss", value_loss)
        metrics.total("critic/loss", value_loss)
        metrics.mean("critic/value_mean", inputs.old_values)
        metrics.mean("critic/return_mean", inputs.returns)
        metrics.mean("critic/clip_ratio", self.loss.value_held_back(values, inputs).float())

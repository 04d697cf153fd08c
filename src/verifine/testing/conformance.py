"""Runs a row of the table, as a step and a learner do, on the plain numbers that `oracle_rows` works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.algorithms.algorithm import Algorithm
from verifine.algorithms.inputs import LossInputs
from verifine.algorithms.loss import Loss
from verifine.batch import Advantages, Batch, Estimates, Scores
from verifine.testing.oracle_batch import Rollout
from verifine.testing.oracle_rows import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A step's rollouts as tensors, ready for the loss."""

    kept_prompts: tuple[int, ...]
    batch: Batch
    estimates: Estimates
    credit: Advantages
    logprobs: Float[Tensor, " N"]
    entropies: Float[Tensor, " N"]
    values: Float[Tensor, " N"] | None
    """None: the row has no critic."""

    def tokens(self, index: Int[Tensor, " n"]) -> LossInputs:
        """What the loss compares some tokens with."""
        estimates = self.estimates.part(index)
        assert estimates.old_logprobs is not None
        return LossInputs(
            row=self.batch.row[index],
            advantages=self.credit.advantages[index],
            old_logprobs=estimates.old_logprobs,
            behaviour_logprobs=self.batch.behaviour_logprobs[index],
            reference_logprobs=estimates.reference_logprobs,
            old_values=estimates.values,
            returns=None if self.credit.returns is None else self.credit.returns[index],
        )

    def terms(self, loss: Loss, index: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The terms of some tokens, which are those of whole rollouts."""
        tokens = self.tokens(index)
        terms = loss.policy_terms(self.logprobs[index], self.entropies[index], tokens)
        return terms if self.values is None else terms + loss.value_terms(self.values[index], tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Padded:
    """Where the tokens of a flat axis stand in frameworks that pad: a line a rollout."""

    mask: Int[Tensor, "B T"]
    """1 at a token, 0 beside; T is the longest rollout's length."""
    line: Int[Tensor, " N"]
    column: Int[Tensor, " N"]

    @classmethod
    def of(cls, row: Int[Tensor, " N"]) -> Padded:
        _, line, lengths = row.unique(return_inverse=True, return_counts=True)
        starts = lengths.cumsum(0) - lengths
        column = torch.arange(len(row)) - starts[line]
        mask = (torch.arange(int(lengths.max()))[None] < lengths[:, None]).long()
        return cls(mask=mask, line=line, column=column)

    def pad(self, values: Float[Tensor, " N"]) -> Float[Tensor, "B T"]:
        """Numbers of tokens in their places; what is beside them must not matter."""
        return torch.full(self.mask.shape, -0.7, dtype=values.dtype).index_put((self.line, self.column), values)

    def first(self, values: Float[Tensor, " N"]) -> Float[Tensor, " B"]:
        """The number of each rollout that all its tokens share."""
        return self.pad(values)[:, 0]


def prepare(
    algorithm: Algorithm, prompts: Sequence[Sequence[Rollout]], max_tokens: int, dtype: torch.dtype
) -> Exercise:
    """Shapes, filters, lays out and gives credit. The log-probabilities, entropies and values require a gradient."""
    scores = Scores(
        rewards=torch.tensor([[rollout.reward for rollout in group] for group in prompts], dtype=dtype),
        valid=torch.tensor([[rollout.valid for rollout in group] for group in prompts]),
        truncated=torch.tensor([[rollout.truncated for rollout in group] for group in prompts]),
        format_ok=torch.tensor([[rollout.format_ok for rollout in group] for group in prompts]),
        lengths=torch.tensor([[len(rollout.logprobs) for rollout in group] for group in prompts]),
    )
    shaped = algorithm.shape(scores, max_tokens)
    rewards, valid, keeps = shaped.rewards[shaped.keeps], shaped.valid[shaped.keeps], shaped.keeps
    kept_prompts = tuple(keeps.nonzero().flatten().tolist())
    numbered = list(enumerate(rollout for p in kept_prompts for rollout in prompts[p]))
    on_axis = [(i, rollout) for i, rollout in numbered if valid.flatten()[i]]

    def lay(numbers: Callable[[Rollout], Sequence[float] | None]) -> Float[Tensor, " N"]:
        return torch.tensor([number for _, rollout in on_axis for number in numbers(rollout) or ()], dtype=dtype)

    row = torch.tensor([i for i, rollout in on_axis for _ in rollout.logprobs], dtype=torch.long)
    batch = Batch(
        groups=(),
        tokens=torch.zeros_like(row),
        row=row,
        behaviour_logprobs=lay(lambda rollout: rollout.behaviour_logprobs),
        rewards=rewards,
        valid=valid,
        max_tokens=max_tokens,
    )
    has_critic = algorithm.loss.value is not None
    estimates = Estimates(
        old_logprobs=lay(lambda rollout: rollout.old_logprobs),
        reference_logprobs=lay(lambda rollout: rollout.reference_logprobs) if algorithm.needs_reference else None,
        values=lay(lambda rollout: rollout.old_values) if has_critic else None,
    )
    return Exercise(
        kept_prompts=kept_prompts,
        batch=batch,
        estimates=estimates,
        credit=algorithm.credit(batch, estimates),
        logprobs=lay(lambda rollout: rollout.logprobs).requires_grad_(),
        entropies=lay(lambda rollout: rollout.entropies).requires_grad_(),
        values=lay(lambda rollout: rollout.values).requires_grad_() if has_critic else None,
    )


def work_out(algorithm: Algorithm, prompts: Sequence[Sequence[Rollout]], max_tokens: int, dtype: torch.dtype) -> Answer:
    """What the tensors of a row make of a step, in the words of the oracle; gradients are autograd's."""
    exercise = prepare(algorithm, prompts, max_tokens, dtype)
    batch, credit = exercise.batch, exercise.credit
    weights = algorithm.loss.weights(batch.row, batch.group_size, max_tokens, dtype)
    terms = exercise.terms(algorithm.loss, torch.arange(len(batch.row)))
    loss = (weights * terms).sum()
    leaves = [exercise.logprobs, exercise.entropies] + ([] if exercise.values is None else [exercise.values])
    gradients = torch.autograd.grad(loss, leaves, materialize_grads=True, allow_unused=True)
    return Answer(
        kept_prompts=exercise.kept_prompts,
        row=batch.row.tolist(),
        shaped_rewards=batch.rewards.tolist(),
        valid=batch.valid.tolist(),
        advantages=credit.advantages.tolist(),
        returns=None if credit.returns is None else credit.returns.tolist(),
        terms=terms.tolist(),
        weights=weights.tolist(),
        loss=loss.item(),
        gradient=gradients[0].tolist(),
        entropy_gradient=gradients[1].tolist(),
        value_gradient=None if exercise.values is None else gradients[2].tolist(),
    )

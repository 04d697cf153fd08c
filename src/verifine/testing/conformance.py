"""Runs a row of the table, as a step and a learner do, on the plain numbers that `oracle_rows` works on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.algorithms.algorithm import Algorithm
from verifine.algorithms.loss import Loss
from verifine.algorithms.loss_inputs import LossInputs
from verifine.batch import Advantages, Batch, Estimates, RolloutBatch, collate
from verifine.testing.oracle_batch import NaiveRollout
from verifine.testing.oracle_rows import NaiveStep
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A step's rollouts as tensors, ready for the loss."""

    kept_prompts: tuple[int, ...]
    batch: Batch
    estimates: Estimates
    advantages: Advantages
    logprobs: Float[Tensor, " N"]
    entropies: Float[Tensor, " N"]
    values: Float[Tensor, " N"] | None
    """None: the row has no critic."""

    def inputs(self, index: Int[Tensor, " n"]) -> LossInputs:
        """What the loss compares some tokens with."""
        estimates = self.estimates.part(index)
        assert estimates.old_logprobs is not None
        return LossInputs(
            row=self.batch.row[index],
            advantages=self.advantages.part(index).advantages,
            old_logprobs=estimates.old_logprobs,
            behaviour_logprobs=self.batch.behaviour_logprobs[index],
            reference_logprobs=estimates.reference_logprobs,
            old_values=estimates.values,
            returns=self.advantages.part(index).returns,
        )

    def terms(self, loss: Loss, index: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The terms of some tokens, which are those of whole rollouts."""
        inputs = self.inputs(index)
        terms = loss.policy_terms(self.logprobs[index], self.entropies[index], inputs)
        return terms if self.values is None else terms + loss.value_terms(self.values[index], inputs)


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


def make_exercise(
    algorithm: Algorithm, prompts: Sequence[Sequence[NaiveRollout]], max_tokens: int, dtype: torch.dtype
) -> Exercise:
    """Shapes, filters, lays out and computes advantages, as a step does.

    The log-probabilities, entropies and values require a gradient.
    """
    graded = RolloutBatch.of([_group(number, group) for number, group in enumerate(prompts)])
    # Where there is no score, whatever stands there must not matter.
    rewards = torch.tensor([[rollout.reward for rollout in group] for group in prompts], dtype=dtype)
    rollouts = algorithm.shape(replace(graded, rewards=rewards), max_tokens)
    batch = collate(rollouts, max_tokens)
    kept_prompts = tuple(rollouts.keeps.nonzero().flatten().tolist())
    every = [rollout for p in kept_prompts for rollout in prompts[p]]
    on_axis = [every[i] for i in batch.row.unique_consecutive().tolist()]

    def lay(numbers: Callable[[NaiveRollout], Sequence[float] | None]) -> Float[Tensor, " N"]:
        return torch.tensor([number for each in on_axis for number in _chosen(each, numbers(each) or ())], dtype=dtype)

    has_critic = algorithm.recipe.has_critic
    estimates = Estimates(
        old_logprobs=lay(lambda rollout: rollout.old_logprobs),
        reference_logprobs=lay(lambda rollout: rollout.reference_logprobs) if algorithm.needs_reference else None,
        values=lay(lambda rollout: rollout.old_values) if has_critic else None,
    )
    return Exercise(
        kept_prompts=kept_prompts,
        batch=batch,
        estimates=estimates,
        advantages=algorithm.advantages(batch, estimates),
        logprobs=lay(lambda rollout: rollout.logprobs).requires_grad_(),
        entropies=lay(lambda rollout: rollout.entropies).requires_grad_(),
        values=lay(lambda rollout: rollout.values).requires_grad_() if has_critic else None,
    )


def _chosen(rollout: NaiveRollout, numbers: Sequence[float]) -> list[float]:
    return [number for place, number in enumerate(numbers) if place not in rollout.forced]


def _group(number: int, rollouts: Sequence[NaiveRollout]) -> Group:
    prompt = Prompt(id=str(number), token_ids=(0,), item={})
    sampled = [
        Rollout(
            prompt=prompt,
            token_ids=(0,) * len(rollout.logprobs),
            behaviour_logprobs=rollout.behaviour_logprobs,
            text="",
            finish_reason=FinishReason.LENGTH if rollout.truncated else FinishReason.STOP,
            forced=rollout.forced,
        )
        for rollout in rollouts
    ]
    grades = [
        Grade(score=rollout.reward if rollout.valid else None, format_ok=rollout.format_ok) for rollout in rollouts
    ]
    return Group(prompt=prompt, rollouts=tuple(sampled)).graded(grades)


def work_out(
    algorithm: Algorithm, prompts: Sequence[Sequence[NaiveRollout]], max_tokens: int, dtype: torch.dtype
) -> NaiveStep:
    """What the tensors of a row make of a step, in the words of the oracle; gradients are autograd's."""
    exercise = make_exercise(algorithm, prompts, max_tokens, dtype)
    batch, advantages = exercise.batch, exercise.advantages
    weights = algorithm.loss.weights(batch.row, batch.group_size, max_tokens, dtype)
    terms = exercise.terms(algorithm.loss, torch.arange(len(batch.row)))
    loss = (weights * terms).sum()
    leaves = [exercise.logprobs, exercise.entropies] + ([] if exercise.values is None else [exercise.values])
    gradients = torch.autograd.grad(loss, leaves, materialize_grads=True, allow_unused=True)
    return NaiveStep(
        kept_prompts=exercise.kept_prompts,
        row=batch.row.tolist(),
        shaped_rewards=batch.rewards.tolist(),
        valid=batch.valid.tolist(),
        advantages=advantages.advantages.tolist(),
        returns=None if advantages.returns is None else advantages.returns.tolist(),
        terms=terms.tolist(),
        weights=weights.tolist(),
        loss=loss.item(),
        gradient=gradients[0].tolist(),
        entropy_gradient=gradients[1].tolist(),
        value_gradient=None if exercise.values is None else gradients[2].tolist(),
    )

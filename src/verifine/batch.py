"""Graded groups as tensors: the action tokens of all valid rollouts end to end on one flat axis.

Axes: P prompts, G rollouts a prompt, N action tokens. Prompts, padding and invalid rollouts are never on N, so there is
no mask to forget, and neither packing nor order can change a result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.types import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Everything one optimiser update sees."""

    groups: tuple[Group, ...]
    tokens: Int[Tensor, " N"]
    row: Int[Tensor, " N"]
    """Which rollout a token is of: p * G + g."""
    behaviour_logprobs: Float[Tensor, " N"]
    rewards: Float[Tensor, "P G"]
    valid: Bool[Tensor, "P G"]

    def spread(self, values: Float[Tensor, "P G"]) -> Float[Tensor, " N"]:
        """One value a rollout becomes one value a token."""
        return values.flatten()[self.row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What grading says of groups, one value a rollout."""

    rewards: Float[Tensor, "P G"]
    """0 where unscorable."""
    valid: Bool[Tensor, "P G"]
    truncated: Bool[Tensor, "P G"]
    lengths: Int[Tensor, "P G"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the learner says of a batch before it is updated."""

    old_logprobs: Float[Tensor, " N"] | None
    """None: the policy that sampled the batch is the one that learns from it, once, so the update's own
    log-probabilities, detached, are the old ones and every ratio is exactly 1."""
    reference_logprobs: Float[Tensor, " N"] | None
    """None: there is no KL penalty."""


def score(groups: Sequence[Group]) -> Scores:
    """Collects the grades of graded groups."""
    return Scores(
        rewards=torch.tensor([[grade.score or 0.0 for grade in group.grades] for group in groups]),
        valid=torch.tensor([[grade.valid for grade in group.grades] for group in groups]),
        truncated=torch.tensor([[rollout.truncated for rollout in group.rollouts] for group in groups]),
        lengths=torch.tensor([[len(rollout.token_ids) for rollout in group.rollouts] for group in groups]),
    )


def collate(groups: Sequence[Group], rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Batch:
    """Lays the action tokens of valid rollouts end to end, by prompt and sample."""
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    kept = [(row, rollouts[row]) for row in valid.flatten().nonzero().flatten().tolist()]
    lengths = torch.tensor([len(rollout.token_ids) for _, rollout in kept], dtype=torch.long)
    return Batch(
        groups=tuple(groups),
        tokens=torch.tensor([token for _, rollout in kept for token in rollout.token_ids], dtype=torch.long),
        row=torch.repeat_interleave(torch.tensor([row for row, _ in kept], dtype=torch.long), lengths),
        behaviour_logprobs=torch.tensor([value for _, rollout in kept for value in rollout.behaviour_logprobs]),
        rewards=rewards,
        valid=valid,
    )

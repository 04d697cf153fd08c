"""Graded groups as tensors: the action tokens of all valid rollouts end to end on one flat axis.

Axes: P prompts, G rollouts a prompt, N action tokens. Prompts, padding and invalid rollouts are never on N, so there is
no mask to forget, and neither packing nor order can change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.types import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What a step learns from; its parts are what one optimiser update sees."""

    groups: tuple[Group, ...]
    tokens: Int[Tensor, " N"]
    row: Int[Tensor, " N"]
    """Which rollout a token is of: p * G + g."""
    behaviour_logprobs: Float[Tensor, " N"]
    rewards: Float[Tensor, "P G"]
    valid: Bool[Tensor, "P G"]
    max_tokens: int
    """The token limit that the rollouts were sampled under."""

    @property
    def group_size(self) -> int:
        return self.valid.shape[1]

    def part(self, groups: Int[Tensor, " p"]) -> tuple[Batch, Int[Tensor, " n"]]:
        """The batch of some groups, in their order here, and where its tokens stand on this batch's axis."""
        chosen = groups.sort().values
        place = torch.full((len(self.groups),), -1)
        place[chosen] = torch.arange(len(chosen))
        index = (place[self.row // self.group_size] >= 0).nonzero().flatten()
        row = self.row[index]
        part = Batch(
            groups=tuple(self.groups[group] for group in chosen.tolist()),
            tokens=self.tokens[index],
            row=place[row // self.group_size] * self.group_size + row % self.group_size,
            behaviour_logprobs=self.behaviour_logprobs[index],
            rewards=self.rewards[chosen],
            valid=self.valid[chosen],
            max_tokens=self.max_tokens,
        )
        return part, index


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What grading says of groups, one value a rollout."""

    rewards: Float[Tensor, "P G"]
    """0 where unscorable."""
    valid: Bool[Tensor, "P G"]
    truncated: Bool[Tensor, "P G"]
    format_ok: Bool[Tensor, "P G"]
    """Where the grader does not judge the format, every format is right."""
    lengths: Int[Tensor, "P G"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the learner says of a batch before it is updated."""

    old_logprobs: Float[Tensor, " N"] | None
    """None: the policy that sampled the batch is the one that learns from it, once, so the update's own
    log-probabilities, detached, are the old ones and every ratio is exactly 1."""
    reference_logprobs: Float[Tensor, " N"] | None
    """None: there is no KL penalty."""
    values: Float[Tensor, " N"] | None
    """What the critic expects before each token. None: there is no critic."""

    def part(self, index: Int[Tensor, " n"]) -> Estimates:
        """The estimates of some tokens."""
        return self._each(lambda values: values[index])

    def to(self, device: torch.device) -> Estimates:
        return self._each(lambda values: values.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Estimates:
        return Estimates(
            old_logprobs=None if self.old_logprobs is None else change(self.old_logprobs),
            reference_logprobs=None if self.reference_logprobs is None else change(self.reference_logprobs),
            values=None if self.values is None else change(self.values),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Advantages:
    """What each action token did for the reward."""

    advantages: Float[Tensor, " N"]
    returns: Float[Tensor, " N"] | None = None
    """What a critic learns to expect. None: there is no critic."""


def score(groups: Sequence[Group]) -> Scores:
    """Collects the grades of graded groups."""
    return Scores(
        rewards=torch.tensor([[grade.score or 0.0 for grade in group.grades] for group in groups]),
        valid=torch.tensor([[grade.valid for grade in group.grades] for group in groups]),
        truncated=torch.tensor([[rollout.truncated for rollout in group.rollouts] for group in groups]),
        format_ok=torch.tensor([[grade.format_ok is not False for grade in group.grades] for group in groups]),
        lengths=torch.tensor([[len(rollout.token_ids) for rollout in group.rollouts] for group in groups]),
    )


def collate(
    groups: Sequence[Group], rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], max_tokens: int
) -> Batch:
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
        max_tokens=max_tokens,
    )

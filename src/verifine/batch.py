"""Graded groups as tensors: the action tokens of all valid rollouts end to end on one flat axis.

Axes: P prompts, G rollouts a prompt, N action tokens. Prompts, forced tokens, padding and invalid rollouts are never on
N, so there is no mask to forget, and neither packing nor order can change a result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from verifine.types import Grade, Group, Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutBatch:
    """The graded groups of a step, those that are not kept included: they were sampled for nothing.

    G is the size of the largest group; a smaller one has no rollout in its last places, which never count.
    """

    groups: tuple[Group, ...]
    """In the order of their prompts."""
    rewards: Float[Tensor, "P G"]
    """The scores, once an algorithm has shaped them. 0 where there is no score."""
    valid: Bool[Tensor, "P G"]
    """The rollouts that count."""
    chosen: Bool[Tensor, "P G"]
    """Those to train on; the others were drawn to find them, and count in the baseline of their group only."""
    keeps: Bool[Tensor, " P"]
    """The groups to train on."""
    scales: Float[Tensor, " P"]
    """What the advantages of each group are multiplied by, where as many answers are drawn as a prompt needs."""

    @classmethod
    def of(cls, groups: Sequence[Group]) -> RolloutBatch:
        """Graded groups as they are: rewards are scores, and every group with a score is kept."""
        valid = _of_grades(groups, lambda grade: grade.valid, torch.bool)
        return cls(
            groups=tuple(groups),
            rewards=_of_grades(groups, lambda grade: grade.score or 0.0, torch.float32),
            valid=valid,
            chosen=valid,
            keeps=valid.any(dim=1),
            scales=torch.ones(len(groups)),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[RolloutBatch]) -> RolloutBatch:
        """The groups of all parts, one part after the other."""
        size = max(part.valid.shape[1] for part in parts)

        def widened(values: Shaped[Tensor, "p g"]) -> Shaped[Tensor, "p G"]:
            return torch.nn.functional.pad(values, (0, size - values.shape[1]))

        return cls(
            groups=tuple(group for part in parts for group in part.groups),
            rewards=torch.cat([widened(part.rewards) for part in parts]),
            valid=torch.cat([widened(part.valid) for part in parts]),
            chosen=torch.cat([widened(part.chosen) for part in parts]),
            keeps=torch.cat([part.keeps for part in parts]),
            scales=torch.cat([part.scales for part in parts]),
        )

    @property
    def kept_groups(self) -> tuple[Group, ...]:
        return tuple(group for group, is_kept in zip(self.groups, self.keeps.tolist(), strict=True) if is_kept)

    @property
    def tokens(self) -> int:
        """Tokens of all answers."""
        return int(self.lengths().sum())

    def lengths(self) -> Int[Tensor, "P G"]:
        return _padded([[len(rollout.token_ids) for rollout in group.rollouts] for group in self.groups], torch.long)

    def truncated(self) -> Bool[Tensor, "P G"]:
        return _padded([[rollout.truncated for rollout in group.rollouts] for group in self.groups], torch.bool)

    def format_ok(self) -> Bool[Tensor, "P G"]:
        """Where the grader does not judge the format, every format is right."""
        return _of_grades(self.groups, lambda grade: grade.format_ok is not False, torch.bool)

    def passes(self, pass_score: float) -> Bool[Tensor, "P G"]:
        """The rollouts that count and are right; `pass_score` is as in `Grade.passes`."""
        return self.valid & _of_grades(self.groups, lambda grade: bool(grade.passes(pass_score)), torch.bool)

    def drawn_means(self) -> Float[Tensor, " P"]:
        """The mean reward of everything that counts of what was drawn for each prompt."""
        return group_means(self.rewards, self.valid)


def group_means(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Float[Tensor, " P"]:
    """The mean of the valid rewards of each group, exact where all are equal; 0 of a group without any."""
    mean = torch.where(valid, rewards, 0).sum(dim=1) / valid.sum(dim=1).clamp(min=1)
    highest = torch.where(valid, rewards, -torch.inf).amax(dim=1)
    lowest = torch.where(valid, rewards, torch.inf).amin(dim=1)
    return torch.where(highest == lowest, highest, mean)


def sampled_entropy(groups: Sequence[Group]) -> float | None:
    """An estimate of the policy's entropy, in nats a token: the mean of -log p over all action tokens.

    Unbiased for tokens as they are visited, and known without an update. None: no token was sampled.
    """
    logprobs = [logprob for group in groups for rollout in group.rollouts for logprob in action_logprobs(rollout)]
    return -sum(logprobs) / len(logprobs) if logprobs else None


def action_logprobs(rollout: Rollout) -> Sequence[float]:
    """The behaviour log-probabilities of the tokens that the policy chose."""
    logprobs = rollout.behaviour_logprobs
    return [logprobs[place] for place in rollout.actions] if rollout.forced else logprobs


def _of_grades(groups: Sequence[Group], read: Callable[[Grade], float], dtype: torch.dtype) -> Shaped[Tensor, "P G"]:
    return _padded([[read(grade) for grade in group.grades] for group in groups], dtype)


def _padded(rows: Sequence[Sequence[float]], dtype: torch.dtype) -> Shaped[Tensor, "P G"]:
    """Rows of different lengths, with zeros behind the shorter ones."""
    size = max(map(len, rows), default=0)
    return torch.tensor([[*row, *[0] * (size - len(row))] for row in rows], dtype=dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The groups that a step learns from, as tensors."""

    groups: tuple[Group, ...]
    tokens: Int[Tensor, " N"]
    row: Int[Tensor, " N"]
    """Which rollout a token is of: p * G + g."""
    behaviour_logprobs: Float[Tensor, " N"]
    rewards: Float[Tensor, "P G"]
    valid: Bool[Tensor, "P G"]
    """The rollouts that are on the token axis."""
    drawn_means: Float[Tensor, " P"]
    """The mean reward of everything that was drawn for a prompt, whether it is learned from or not."""
    scales: Float[Tensor, " P"]
    """As in `RolloutBatch`."""
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
            drawn_means=self.drawn_means[chosen],
            scales=self.scales[chosen],
            max_tokens=self.max_tokens,
        )
        return part, index


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    """What the learner estimates of a batch before the update."""

    old_logprobs: Float[Tensor, " N"] | None
    """None: the batch is used once, by the policy that sampled it. The update's own log-probabilities, detached, are
    then the old ones, and every ratio is exactly 1."""
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

    def part(self, index: Int[Tensor, " n"]) -> Advantages:
        """The advantages of some tokens."""
        returns = None if self.returns is None else self.returns[index]
        return Advantages(advantages=self.advantages[index], returns=returns)


def collate(rollouts: RolloutBatch, max_tokens: int) -> Batch:
    """Lays the action tokens of the kept groups' rollouts to be learned from end to end, by prompt and sample."""
    groups, rewards, keeps = rollouts.kept_groups, rollouts.rewards[rollouts.keeps], rollouts.keeps
    valid = (rollouts.valid & rollouts.chosen)[keeps]
    on_axis = [
        (place * valid.shape[1] + sample, groups[place].rollouts[sample]) for place, sample in valid.nonzero().tolist()
    ]
    lengths = torch.tensor([len(rollout.actions) for _, rollout in on_axis], dtype=torch.long)
    tokens = [rollout.token_ids[place] for _, rollout in on_axis for place in rollout.actions]
    behaviour = [logprob for _, rollout in on_axis for logprob in action_logprobs(rollout)]
    return Batch(
        groups=groups,
        tokens=torch.tensor(tokens, dtype=torch.long),
        row=torch.repeat_interleave(torch.tensor([row for row, _ in on_axis], dtype=torch.long), lengths),
        behaviour_logprobs=torch.tensor(behaviour, dtype=rewards.dtype),
        rewards=rewards,
        valid=valid,
        drawn_means=rollouts.drawn_means()[keeps],
        scales=rollouts.scales[keeps],
        max_tokens=max_tokens,
    )

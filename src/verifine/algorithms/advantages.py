"""How rewards become advantages.

Axes: P prompts, G rollouts a prompt, N action tokens; `row[N]` names the rollout of each token, and the tokens of a
rollout stand next to each other, in order of time. An invalid rollout is outside every mean and standard deviation and
gets 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import isfunction

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.batch import group_means
from verifine.config.recipes import AdvantageName


def group_normalized(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], epsilon: float = 1e-4
) -> Float[Tensor, "P G"]:
    """Each reward minus its group's mean, divided by its group's standard deviation (GRPO, arXiv:2402.03300).

    The standard deviation is the unbiased one (n - 1). A group with fewer than two valid rollouts gets 0.
    """
    centered = group_centered(rewards, valid)
    counts = valid.sum(dim=1, keepdim=True)
    variance = centered.square().sum(dim=1, keepdim=True) / (counts - 1).clamp(min=1)
    advantages = centered / (variance.sqrt() + epsilon)
    return torch.where(counts >= 2, advantages, torch.zeros_like(advantages))


def group_centered(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], batch_share: float = 0.0
) -> Float[Tensor, "P G"]:
    """Each reward minus the mean of its group's valid rewards (Dr. GRPO, arXiv:2503.20783).

    With a `batch_share` s the baseline is (1 - s) times the group's mean plus s times the mean of all valid rewards: a
    group that is all wrong is then pushed down and one that is all right up, where the group's own mean moves neither.
    Rewards that are all equal get exactly 0.
    """
    baseline = group_means(rewards, valid)[:, None]
    if batch_share > 0 and rewards.numel() > 0:
        step = group_means(rewards.reshape(1, -1), valid.reshape(1, -1))
        baseline = torch.lerp(baseline, step, batch_share)
    return torch.where(valid, rewards - baseline, torch.zeros_like(rewards))


def rewards_differ(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Bool[Tensor, " P"]:
    """Whether a group's valid rewards are not all the same."""
    infinity = torch.full_like(rewards, float("inf"))
    highest = torch.where(valid, rewards, -infinity).amax(dim=1)
    lowest = torch.where(valid, rewards, infinity).amin(dim=1)
    return highest > lowest


def differ_anywhere(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> bool:
    """Whether any two valid rewards of the batch differ, as if all were of one group."""
    return rewards.numel() > 0 and bool(rewards_differ(rewards.reshape(1, -1), valid.reshape(1, -1)).any())


def batch_scaled(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], epsilon: float = 1e-4, batch_share: float = 0.0
) -> Float[Tensor, "P G"]:
    """`group_centered`, divided by the standard deviation of the whole batch (arXiv:2508.08221, 4.1).

    The standard deviation is the unbiased one (n - 1) of all valid rewards, so that of an easy group does not inflate
    its advantages.
    """
    kept = rewards[valid]
    spread = kept.std() if len(kept) > 1 else torch.zeros((), dtype=rewards.dtype, device=rewards.device)
    return group_centered(rewards, valid, batch_share) / (spread + epsilon)


def leave_one_out(rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Each reward minus the mean of the other valid rewards of its group (RLOO, arXiv:2402.14740).

    A group needs two valid rollouts; with one, its advantage is 0.
    """
    counts = valid.sum(dim=1, keepdim=True)
    # r - (sum - r) / (n - 1) = n / (n - 1) (r - mean)
    return group_centered(rewards, valid) * (counts.to(rewards.dtype) / (counts - 1).clamp(min=1))


def pool_centered(
    rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"], drawn_means: Float[Tensor, " P"]
) -> Float[Tensor, "P G"]:
    """Each reward minus the mean of everything that was drawn for its prompt (Reinforce-Ada, arXiv:2510.04996, alg. 2).

    `valid` are the rollouts that are trained on, a part of those. Nothing is divided by a standard deviation.
    """
    return torch.where(valid, rewards - drawn_means[:, None], torch.zeros_like(rewards))


def whitened(advantages: Float[Tensor, " N"], epsilon: float = 1e-8) -> Float[Tensor, " N"]:
    """(A - mean) / (std + epsilon) over all tokens of the global batch (REINFORCE++, arXiv:2501.03262, eq. 8).

    The standard deviation is that of the population. Advantages that are all the same become exactly 0.
    """
    if len(advantages) == 0 or bool((advantages == advantages[0]).all()):
        return torch.zeros_like(advantages)
    exact = advantages.double()
    centered = exact - exact.mean()
    return (centered / (centered.square().mean().sqrt() + epsilon)).to(advantages.dtype)


def gae(
    rewards: Float[Tensor, " N"], values: Float[Tensor, " N"], row: Int[Tensor, " N"], gamma: float, lam: float
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """Generalised advantage estimation: advantages and returns of every token (arXiv:1506.02438, eq. 16).

    delta_t = r_t + gamma V_{t+1} - V_t, A_t = delta_t + gamma lam A_{t+1}, return_t = A_t + V_t. Each rollout stands
    for itself; after its last token the value is 0.
    """
    next_values = torch.where(ends_rollout(row), torch.zeros_like(values), values.roll(-1))
    deltas = rewards + gamma * next_values - values
    advantages = returns_to_go(deltas, row, gamma * lam)
    return advantages, advantages + values


def returns_to_go(rewards: Float[Tensor, " N"], row: Int[Tensor, " N"], gamma: float) -> Float[Tensor, " N"]:
    """R_t = r_t + gamma R_{t+1} within each rollout (REINFORCE++, arXiv:2501.03262)."""
    lengths = torch.unique_consecutive(row, return_counts=True)[1]
    last = lengths.cumsum(dim=0) - 1
    returns = rewards.clone()
    # One pass from the end, all rollouts at once: the k-th token from the end of each that is longer than k.
    for back in range(1, int(lengths.max()) if len(lengths) else 0):
        at = (last - back)[lengths > back]
        returns[at] = rewards[at] + gamma * returns[at + 1]
    return returns


def ends_rollout(row: Int[Tensor, " N"]) -> Bool[Tensor, " N"]:
    """Whether a token is the last of its rollout."""
    is_last = torch.ones_like(row, dtype=torch.bool)
    is_last[:-1] = row[:-1] != row[1:]
    return is_last


GroupAdvantages = Callable[..., Tensor]
"""rewards[P, G], valid[P, G] -> advantages[P, G]"""


def name_of_function(advantages: GroupAdvantages) -> str:
    """What such a function is called where a run says what it was trained with."""
    return advantages.__name__ if isfunction(advantages) else type(advantages).__name__


GROUP_ADVANTAGES: Mapping[AdvantageName, GroupAdvantages] = {
    "group_centered": group_centered,
    "group_normalized": group_normalized,
    "batch_scaled": batch_scaled,
    "leave_one_out": leave_one_out,
}

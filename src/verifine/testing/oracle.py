"""The mathematics of `verifine.algorithms` once more, as loops over plain lists of floats.

Written from the papers, without tensors, to be read beside them and to check any implementation against: another
framework's, an optimised kernel's, or ours (`tests/algorithms/test_conformance.py`). Names, arguments and conventions
are those of `verifine.algorithms`. Lists take the place of tensors: `rewards[p][g]` of prompt `p` and rollout `g`;
everything of a token lies on one flat axis, with `row[n] = p * G + g` naming the rollout of token `n`. Invalid rollouts
have no token there. `*_gradient` is the derivative by hand. `oracle_rows` composes whole algorithms from this.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, pstdev, stdev

Rewards = Sequence[Sequence[float]]
"""`[p][g]`; what stands at an invalid rollout is never read."""
Valid = Sequence[Sequence[bool]]
PerToken = Sequence[float]
"""One number a token."""


# `statistics` computes with fractions and rounds once: equal rewards have exactly their own value as mean, and std 0.


def naive_group_normalized(rewards: Rewards, valid: Valid, epsilon: float = 1e-4) -> list[list[float]]:
    """Reward minus the group's mean, over its unbiased std + epsilon (GRPO, arXiv:2402.03300, section 4.1.2).

    A group with fewer than two valid rollouts gets 0.
    """
    advantages = []
    for group, group_valid in zip(rewards, valid, strict=True):
        kept = _kept(group, group_valid)
        if len(kept) < 2:
            advantages.append([0.0] * len(group))
            continue
        scale = stdev(kept) + epsilon
        advantages.append(
            [(reward - mean(kept)) / scale if ok else 0.0 for reward, ok in zip(group, group_valid, strict=True)]
        )
    return advantages


def naive_group_centered(rewards: Rewards, valid: Valid, batch_share: float = 0.0) -> list[list[float]]:
    """Reward minus the group's mean, or so much of the batch's mean in its place (Dr. GRPO, arXiv:2503.20783)."""
    everyone = _everyone(rewards, valid)
    advantages = []
    for group, group_valid in zip(rewards, valid, strict=True):
        kept = _kept(group, group_valid)
        baseline = (1 - batch_share) * mean(kept) + batch_share * mean(everyone) if kept else 0.0
        if len(set(everyone)) == 1 or (batch_share == 0 and len(set(kept)) == 1):
            baseline = kept[0] if kept else 0.0
        advantages.append([reward - baseline if ok else 0.0 for reward, ok in zip(group, group_valid, strict=True)])
    return advantages


def naive_batch_scaled(
    rewards: Rewards, valid: Valid, epsilon: float = 1e-4, batch_share: float = 0.0
) -> list[list[float]]:
    """Centred rewards, over the unbiased std of all rewards of the batch + epsilon (arXiv:2508.08221).

    A batch with fewer than two valid rollouts gets 0.
    """
    everyone = _everyone(rewards, valid)
    if len(everyone) < 2:
        return [[0.0] * len(group) for group in rewards]
    scale = stdev(everyone) + epsilon
    centered = naive_group_centered(rewards, valid, batch_share)
    return [[advantage / scale for advantage in group] for group in centered]


def naive_leave_one_out(rewards: Rewards, valid: Valid) -> list[list[float]]:
    """Reward minus the mean of the other valid rewards of the group (RLOO, arXiv:2402.14740).

    A rollout without a valid sibling gets 0.
    """
    advantages = []
    for group, group_valid in zip(rewards, valid, strict=True):
        row = []
        for g, reward in enumerate(group):
            others = [group[k] for k in range(len(group)) if k != g and group_valid[k]]
            row.append(reward - mean(others) if group_valid[g] and others else 0.0)
        advantages.append(row)
    return advantages


def naive_rewards_differ(rewards: Rewards, valid: Valid) -> list[bool]:
    """Whether the valid rewards of each group are not all the same."""
    return [len(set(_kept(group, group_valid))) > 1 for group, group_valid in zip(rewards, valid, strict=True)]


def naive_whitened(advantages: PerToken, epsilon: float = 1e-8) -> list[float]:
    """(A - mean) / (population std + epsilon) over all tokens of the batch (REINFORCE++, arXiv:2501.03262)."""
    if not advantages:
        return []
    center, scale = mean(advantages), pstdev(advantages) + epsilon
    return [(advantage - center) / scale for advantage in advantages]


def naive_gae(
    rewards: PerToken, values: PerToken, row: Sequence[int], gamma: float, lam: float
) -> tuple[list[float], list[float]]:
    """Generalized advantage estimates and the returns A + V (arXiv:1506.02438, equation 16).

    delta_t = r_t + gamma V_(t+1) - V_t and A_t = delta_t + gamma lam A_(t+1), both 0 after the rollout's last token.
    """
    advantages = [0.0] * len(row)
    for positions in naive_rollout_positions(row):
        next_value = next_advantage = 0.0
        for n in reversed(positions):
            delta = rewards[n] + gamma * next_value - values[n]
            advantages[n] = delta + gamma * lam * next_advantage
            next_value, next_advantage = values[n], advantages[n]
    return advantages, [advantage + value for advantage, value in zip(advantages, values, strict=True)]


def naive_returns_to_go(rewards: PerToken, row: Sequence[int], gamma: float) -> list[float]:
    """R_t = r_t + gamma R_(t+1) within each rollout (REINFORCE++, arXiv:2501.03262)."""
    returns = [0.0] * len(row)
    for positions in naive_rollout_positions(row):
        following = 0.0
        for n in reversed(positions):
            following = rewards[n] + gamma * following
            returns[n] = following
    return returns


def naive_k1(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    """D, the log-ratio of policy and reference (http://joschu.net/blog/kl-approx.html)."""
    return [logprob - reference for logprob, reference in zip(logprobs, reference_logprobs, strict=True)]


def naive_k2(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    """D^2 / 2, d as in `k1`."""
    return [d * d / 2 for d in naive_k1(logprobs, reference_logprobs)]


def naive_k3(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    """exp(-d) - 1 + d, d as in `k1` (GRPO, arXiv:2402.03300, equation 4)."""
    return [math.expm1(-d) + d for d in naive_k1(logprobs, reference_logprobs)]


def naive_k1_gradient(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    return [1.0 for _ in naive_k1(logprobs, reference_logprobs)]


def naive_k2_gradient(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    return naive_k1(logprobs, reference_logprobs)


def naive_k3_gradient(logprobs: PerToken, reference_logprobs: PerToken) -> list[float]:
    return [-math.expm1(-d) for d in naive_k1(logprobs, reference_logprobs)]


def naive_clipped(
    logprobs: PerToken, old_logprobs: PerToken, advantages: PerToken, low: float, high: float, dual: float | None = None
) -> list[float]:
    """-min(ratio A, clip(ratio, 1-low, 1+high) A) of each token (PPO, arXiv:1707.06347, equation 7).

    Two bounds: DAPO, arXiv:2503.14476, equation 10. `dual`, for A < 0: at most -dual A (arXiv:1912.09729).
    """
    terms = []
    for logprob, old, advantage in zip(logprobs, old_logprobs, advantages, strict=True):
        ratio = math.exp(logprob - old)
        term = -min(ratio * advantage, _clip(ratio, 1 - low, 1 + high) * advantage)
        if dual is not None and advantage < 0:
            term = min(term, -dual * advantage)
        terms.append(term)
    return terms


def naive_clipped_gradient(
    logprobs: PerToken, old_logprobs: PerToken, advantages: PerToken, low: float, high: float, dual: float | None = None
) -> list[float]:
    """The gradient of each term by its own logprob: -A ratio, or 0 where a clip holds the token."""
    gradient = []
    for logprob, old, advantage in zip(logprobs, old_logprobs, advantages, strict=True):
        ratio = math.exp(logprob - old)
        held = _is_held(ratio, advantage, low, high) or (dual is not None and advantage < 0 and ratio > dual)
        gradient.append(0.0 if held else -advantage * ratio)
    return gradient


def naive_reinforce(logprobs: PerToken, advantages: PerToken) -> list[float]:
    """-A logprob of each token (Williams 1992; RLOO, arXiv:2402.14740)."""
    return [-advantage * logprob for logprob, advantage in zip(logprobs, advantages, strict=True)]


def naive_reinforce_gradient(advantages: PerToken) -> list[float]:
    return [-advantage for advantage in advantages]


def naive_sequence_log_ratio(logprobs: PerToken, old_logprobs: PerToken, row: Sequence[int]) -> list[float]:
    """For each token the mean of logprob - old_logprob over its rollout (GSPO, arXiv:2507.18071, equation 7)."""
    log_ratios = [0.0] * len(row)
    for positions in naive_rollout_positions(row):
        mean_difference = math.fsum(logprobs[n] - old_logprobs[n] for n in positions) / len(positions)
        for n in positions:
            log_ratios[n] = mean_difference
    return log_ratios


def naive_sequence_clipped(
    logprobs: PerToken, old_logprobs: PerToken, advantages: PerToken, row: Sequence[int], low: float, high: float
) -> list[float]:
    """The clipped term with one ratio a rollout, repeated at its tokens (GSPO, arXiv:2507.18071, equation 5)."""
    ratios = [math.exp(log_ratio) for log_ratio in naive_sequence_log_ratio(logprobs, old_logprobs, row)]
    return [
        -min(ratio * advantage, _clip(ratio, 1 - low, 1 + high) * advantage)
        for ratio, advantage in zip(ratios, advantages, strict=True)
    ]


def naive_sequence_clipped_gradient(
    logprobs: PerToken,
    old_logprobs: PerToken,
    advantages: PerToken,
    row: Sequence[int],
    low: float,
    high: float,
    weights: PerToken,
) -> list[float]:
    """The gradient of the weighted sum of the terms: each token of a rollout moves the ratio, so every term of it.

    d ratio_i / d logprob = ratio_i / |o_i|, the same for all tokens of the rollout (arXiv:2507.18071, equation 10).
    """
    ratios = [math.exp(log_ratio) for log_ratio in naive_sequence_log_ratio(logprobs, old_logprobs, row)]
    gradient = [0.0] * len(row)
    for positions in naive_rollout_positions(row):
        moving = [n for n in positions if not _is_held(ratios[n], advantages[n], low, high)]
        total = math.fsum(-weights[n] * advantages[n] * ratios[n] for n in moving)
        for n in positions:
            gradient[n] = total / len(positions)
    return gradient


def naive_cispo(logprobs: PerToken, old_logprobs: PerToken, advantages: PerToken, high: float) -> list[float]:
    """-detach(min(ratio, 1+high)) A logprob of each token (CISPO, arXiv:2506.13585, equations 4 and 5)."""
    return [
        gradient * logprob
        for gradient, logprob in zip(
            naive_cispo_gradient(logprobs, old_logprobs, advantages, high), logprobs, strict=True
        )
    ]


def naive_cispo_gradient(logprobs: PerToken, old_logprobs: PerToken, advantages: PerToken, high: float) -> list[float]:
    """-min(ratio, 1+high) A: the ratio is a constant, and no token is held."""
    return [
        -min(math.exp(logprob - old), 1 + high) * advantage
        for logprob, old, advantage in zip(logprobs, old_logprobs, advantages, strict=True)
    ]


def naive_value_loss(values: PerToken, old_values: PerToken, returns: PerToken, clip: float) -> list[float]:
    """0.5 max((V-R)^2, (clip(V, V_old +- clip) - R)^2) of each token (PPO as in openai/baselines `ppo2`)."""
    losses = []
    for value, old, target in zip(values, old_values, returns, strict=True):
        near = _clip(value, old - clip, old + clip)
        losses.append(0.5 * max((value - target) ** 2, (near - target) ** 2))
    return losses


def naive_value_loss_gradient(values: PerToken, old_values: PerToken, returns: PerToken, clip: float) -> list[float]:
    """The gradient of each loss by its own value: V - R, or 0 where the clipped value is further from the return."""
    gradient = []
    for value, old, target in zip(values, old_values, returns, strict=True):
        near = _clip(value, old - clip, old + clip)
        gradient.append(0.0 if abs(near - target) > abs(value - target) else value - target)
    return gradient


def naive_truncated_importance(old_logprobs: PerToken, behaviour_logprobs: PerToken, cap: float) -> list[float]:
    """min(exp(old - behaviour), cap) of each token: what the learner would have sampled, over what the engine did.

    Truncated importance sampling (Ionides 2008; for engines that differ from their learner,
    https://fengyao.notion.site/off-policy-rl). A constant factor of the surrogate's term.
    """
    return [
        min(math.exp(old - behaviour), cap) for old, behaviour in zip(old_logprobs, behaviour_logprobs, strict=True)
    ]


def naive_token_mean(row: Sequence[int]) -> list[float]:
    """1 / N for every token (DAPO, arXiv:2503.14476, equation 12)."""
    return [1 / len(row) for _ in row]


def naive_sequence_mean(row: Sequence[int]) -> list[float]:
    """1 / (B |o_i|): the mean over rollouts of each one's mean over tokens (GRPO, arXiv:2402.03300, equation 3)."""
    lengths = _counts(row)
    return [1 / (len(lengths) * lengths[i]) for i in row]


def naive_prompt_mean(row: Sequence[int], group_size: int) -> list[float]:
    """1 / (P * tokens of the group): the mean over prompts of each group's mean over tokens."""
    tokens = _counts([i // group_size for i in row])
    return [1 / (len(tokens) * tokens[i // group_size]) for i in row]


def naive_constant_length(row: Sequence[int], max_tokens: int) -> list[float]:
    """1 / (B max_tokens), whatever the rollout's length (Dr. GRPO, arXiv:2503.20783)."""
    return [1 / (len(set(row)) * max_tokens) for _ in row]


def naive_rollout_sum(row: Sequence[int]) -> list[float]:
    """1 / B: the mean over rollouts of each one's sum over tokens (RLOO, arXiv:2402.14740)."""
    return [1 / len(set(row)) for _ in row]


def naive_overlong_penalty(lengths: Sequence[Sequence[int]], max_tokens: int, buffer: int) -> list[list[float]]:
    """0 up to max_tokens - buffer, then linear to -1 at max_tokens (DAPO, arXiv:2503.14476, equation 13).

    A buffer of 0 is no penalty.
    """
    free = max_tokens - buffer
    return [
        [max(-1.0, (free - length) / buffer) if buffer and length > free else 0.0 for length in group]
        for group in lengths
    ]


def naive_drop_truncated(valid: Valid, truncated: Sequence[Sequence[bool]]) -> list[list[bool]]:
    """Valid and not cut off at the limit (DAPO, arXiv:2503.14476, section 3.4, overlong filtering)."""
    return [
        [ok and not cut for ok, cut in zip(group, group_truncated, strict=True)]
        for group, group_truncated in zip(valid, truncated, strict=True)
    ]


def naive_has_signal(rewards: Rewards, valid: Valid) -> list[bool]:
    """Whether a group's valid rewards differ (DAPO, arXiv:2503.14476, equation 11, dynamic sampling)."""
    return naive_rewards_differ(rewards, valid)


def naive_format_gate(rewards: Rewards, format_ok: Sequence[Sequence[bool]]) -> list[list[float]]:
    """The reward, but no more than 0 where the format is wrong."""
    return [
        [reward if ok else min(reward, 0.0) for reward, ok in zip(group, group_ok, strict=True)]
        for group, group_ok in zip(rewards, format_ok, strict=True)
    ]


def naive_on_last_token(rewards: Rewards, row: Sequence[int]) -> list[float]:
    """The rollout's reward at its last token, 0 at the others."""
    flat = [reward for group in rewards for reward in group]
    tokens = [0.0] * len(row)
    for positions in naive_rollout_positions(row):
        tokens[positions[-1]] = flat[row[positions[-1]]]
    return tokens


def naive_rollout_positions(row: Sequence[int]) -> list[list[int]]:
    """The positions of each rollout's tokens on the flat axis, in the order of `row`."""
    positions: dict[int, list[int]] = {}
    for n, i in enumerate(row):
        positions.setdefault(i, []).append(n)
    return list(positions.values())


def _everyone(rewards: Rewards, valid: Valid) -> list[float]:
    return [reward for group, group_valid in zip(rewards, valid, strict=True) for reward in _kept(group, group_valid)]


def _kept(group: Sequence[float], valid: Sequence[bool]) -> list[float]:
    return [reward for reward, ok in zip(group, valid, strict=True) if ok]


def _counts(labels: Sequence[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    return counts


def _clip(value: float, least: float, most: float) -> float:
    return max(least, min(value, most))


def _is_held(ratio: float, advantage: float, low: float, high: float) -> bool:
    """Whether the clip stops the token: it would go further in the direction its advantage asks for."""
    return (advantage > 0 and ratio > 1 + high) or (advantage < 0 and ratio < 1 - low)

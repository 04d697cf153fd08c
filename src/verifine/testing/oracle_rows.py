"""Every row of the table of algorithms, worked out token by token, with its gradient by hand.

`NAIVE_ROWS[name](prompts, settings)` takes what a step knows of its rollouts and computes what training must make of
them. The parts are the functions of `oracle`; here they are composed as each paper does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from verifine.testing import oracle
from verifine.testing.oracle import naive_sequence_mean, naive_token_mean
from verifine.testing.oracle_batch import NaiveRollout, Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveSettings:
    """What can be chosen; `default_settings` knows what differs by row."""

    max_tokens: int
    low: float = 0.2
    high: float = 0.2
    dual: float | None = None
    """None: no dual clip."""
    beta: float = 0.0
    entropy_bonus: float = 0.0
    importance_cap: float | None = None
    """None where engine and learner are one: no correction."""
    overlong_share: float = 0.0
    """The share of max_tokens, before the limit, over which the penalty grows."""
    format_gate: bool = False
    drop_truncated: bool = False
    scaling: Literal["none", "std", "batch"] | None = None
    """What centred group rewards are divided by, where nothing else is done to them; None is the row's own."""
    batch_baseline: float = 0.0
    """How much of the batch's mean is in the baseline; only for a scaling of none or batch."""
    gamma: float = 1.0
    lam: float = 0.95
    value_clip: float = 0.2
    value_coefficient: float = 0.5
    reused: bool = False
    """Whether the batch serves more than one update (only rloo asks)."""


def default_settings(name: str, max_tokens: int) -> NaiveSettings:
    """The settings of a row as its authors used it."""
    match name:
        case "dapo":
            return NaiveSettings(max_tokens=max_tokens, high=0.28, overlong_share=0.2)
        case "gspo":
            return NaiveSettings(max_tokens=max_tokens, low=3e-4, high=4e-4)
        case "cispo":
            return NaiveSettings(max_tokens=max_tokens, high=5.0)
        case _:
            return NaiveSettings(max_tokens=max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveStep:
    """What a step must compute. Lists without `[p][g]` have a number for each token on the flat axis."""

    kept_prompts: tuple[int, ...]
    """The prompts that the group filter leaves; `[p]` counts these."""
    row: list[int]
    shaped_rewards: list[list[float]]
    """`[p][g]`, with the penalty for length and without KL."""
    valid: list[list[bool]]
    """`[p][g]`, without what was truncated where that is dropped."""
    advantages: list[float]
    returns: list[float] | None
    """What the critic learns; None without one."""
    terms: list[float]
    weights: list[float]
    loss: float
    gradient: list[float]
    """The gradient of the loss by each logprob."""
    entropy_gradient: list[float]
    """The gradient of the loss by each entropy."""
    value_gradient: list[float] | None
    """The gradient of the loss by each value; None without a critic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """The prompts that are left, laid out: a list of groups, and the flat axis of their valid rollouts' tokens."""

    kept_prompts: tuple[int, ...]
    rewards: list[list[float]]
    valid: list[list[bool]]
    row: list[int]
    logprobs: list[float]
    old_logprobs: list[float]
    behaviour_logprobs: list[float]
    reference_logprobs: list[float]
    entropies: list[float]
    values: list[float]
    old_values: list[float]

    def at_tokens(self, advantages: Sequence[Sequence[float]]) -> list[float]:
        """Gives every token the number of its rollout."""
        flat = [value for group in advantages for value in group]
        return [flat[i] for i in self.row]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """A kind of loss term: its value a token, and the gradient of its sum under given weights."""

    values: list[float]
    gradient: Callable[[Sequence[float]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Advantages:
    advantages: list[float]
    returns: list[float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objective:
    surrogate: _Terms
    weights: list[float]
    kl: _Terms | None = None
    """None: KL is in the reward, or there is none."""


def naive_grpo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Group-normalized rewards, clipped ratios, KL to the reference in the loss (arXiv:2402.03300, equation 3)."""
    batch = _lay_out(prompts, settings)
    advantages = _Advantages(advantages=batch.at_tokens(_group_advantages(batch, settings, "std")))
    surrogate, kl = _clipped(batch, settings, advantages), _k3(batch, settings)
    return _answer(
        batch, settings, advantages, _Objective(surrogate=surrogate, weights=naive_sequence_mean(batch.row), kl=kl)
    )


def naive_dr_grpo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """GRPO without its two divisions, by the std and by the rollout's length (arXiv:2503.20783)."""
    batch = _lay_out(prompts, settings)
    advantages = _Advantages(advantages=batch.at_tokens(_group_advantages(batch, settings, "none")))
    surrogate, kl = _clipped(batch, settings, advantages), _k3(batch, settings)
    weights = oracle.naive_constant_length(batch.row, settings.max_tokens)
    return _answer(batch, settings, advantages, _Objective(surrogate=surrogate, weights=weights, kl=kl))


def naive_dapo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Only groups with signal, a higher upper clip, one mean over all tokens, no KL (arXiv:2503.14476, equation 8)."""
    if settings.beta:
        raise ValueError("DAPO has no KL to the reference")
    batch = _lay_out(prompts, settings, needs_signal=True)
    advantages = _Advantages(advantages=batch.at_tokens(_group_advantages(batch, settings, "std")))
    surrogate = _clipped(batch, settings, advantages)
    return _answer(batch, settings, advantages, _Objective(surrogate=surrogate, weights=naive_token_mean(batch.row)))


def naive_rloo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Rewards less KL against those of the siblings; the whole response is one action (arXiv:2402.14740)."""
    batch = _lay_out(prompts, settings)
    rewards = [list(group) for group in batch.rewards]
    for i, kl in zip(batch.row, _reward_kl(batch, settings), strict=True):
        rewards[i // len(rewards[0])][i % len(rewards[0])] -= settings.beta * kl
    advantages = _Advantages(advantages=batch.at_tokens(oracle.naive_leave_one_out(rewards, batch.valid)))
    surrogate = _clipped(batch, settings, advantages) if settings.reused else _reinforce(batch, advantages)
    return _answer(
        batch, settings, advantages, _Objective(surrogate=surrogate, weights=oracle.naive_rollout_sum(batch.row))
    )


def naive_reinforce_pp_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Each token's return, of reward at the end and KL on the way, whitened (REINFORCE++, arXiv:2501.03262)."""
    batch = _lay_out(prompts, settings)
    returns = oracle.naive_returns_to_go(_token_rewards(batch, settings), batch.row, settings.gamma)
    advantages = _Advantages(advantages=oracle.naive_whitened(returns))
    surrogate = _clipped(batch, settings, advantages)
    return _answer(batch, settings, advantages, _Objective(surrogate=surrogate, weights=naive_token_mean(batch.row)))


def naive_reinforce_pp_baseline_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Group-centred rewards, whitened over all tokens; KL as k2 in the loss (arXiv:2501.03262)."""
    batch = _lay_out(prompts, settings)
    centered = oracle.naive_group_centered(batch.rewards, batch.valid)
    advantages = _Advantages(advantages=oracle.naive_whitened(batch.at_tokens(centered)))
    surrogate, kl = _clipped(batch, settings, advantages), _k2(batch, settings)
    return _answer(
        batch, settings, advantages, _Objective(surrogate=surrogate, weights=naive_token_mean(batch.row), kl=kl)
    )


def naive_ppo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """Generalized advantages of a critic, whitened, and the critic's own loss (arXiv:1707.06347, equation 9)."""
    batch = _lay_out(prompts, settings)
    rewards = _token_rewards(batch, settings)
    estimates, returns = oracle.naive_gae(rewards, batch.old_values, batch.row, settings.gamma, settings.lam)
    advantages = _Advantages(advantages=oracle.naive_whitened(estimates), returns=returns)
    surrogate = _clipped(batch, settings, advantages)
    return _answer(batch, settings, advantages, _Objective(surrogate=surrogate, weights=naive_token_mean(batch.row)))


def naive_gspo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """GRPO with one ratio and one clip a rollout (arXiv:2507.18071, equation 5)."""
    batch = _lay_out(prompts, settings)
    advantages = _Advantages(advantages=batch.at_tokens(_group_advantages(batch, settings, "std")))
    arguments = (batch.logprobs, batch.old_logprobs, advantages.advantages, batch.row, settings.low, settings.high)
    surrogate = _Terms(
        values=oracle.naive_sequence_clipped(*arguments),
        gradient=lambda weights: oracle.naive_sequence_clipped_gradient(*arguments, weights),
    )
    objective = _Objective(surrogate=surrogate, weights=naive_sequence_mean(batch.row), kl=_k3(batch, settings))
    return _answer(batch, settings, advantages, objective)


def naive_cispo_step(prompts: Prompts, settings: NaiveSettings) -> NaiveStep:
    """REINFORCE with a capped, constant ratio, one mean over all tokens (arXiv:2506.13585, equation 4)."""
    batch = _lay_out(prompts, settings, needs_signal=True)
    advantages = _Advantages(advantages=batch.at_tokens(_group_advantages(batch, settings, "none")))
    arguments = (batch.logprobs, batch.old_logprobs, advantages.advantages, settings.high)
    surrogate = _tokenwise(oracle.naive_cispo(*arguments), oracle.naive_cispo_gradient(*arguments))
    objective = _Objective(surrogate=surrogate, weights=naive_token_mean(batch.row), kl=_k3(batch, settings))
    return _answer(batch, settings, advantages, objective)


NAIVE_ROWS: Mapping[str, Callable[[Prompts, NaiveSettings], NaiveStep]] = {
    "grpo": naive_grpo_step,
    "dr_grpo": naive_dr_grpo_step,
    "dapo": naive_dapo_step,
    "rloo": naive_rloo_step,
    "reinforce_pp": naive_reinforce_pp_step,
    "reinforce_pp_baseline": naive_reinforce_pp_baseline_step,
    "ppo": naive_ppo_step,
    "gspo": naive_gspo_step,
    "cispo": naive_cispo_step,
}


def _lay_out(prompts: Prompts, settings: NaiveSettings, needs_signal: bool = False) -> _Batch:
    """Shapes rewards, drops what does not count, and puts the rest on the flat axis."""
    valid = [[rollout.valid for rollout in group] for group in prompts]
    if settings.drop_truncated:
        valid = oracle.naive_drop_truncated(valid, [[rollout.truncated for rollout in group] for group in prompts])
    rewards = _gated_rewards(prompts, settings)
    # Dynamic sampling asks whether answers differ in what they earned, not in their length.
    keeps = oracle.naive_has_signal(rewards, valid) if needs_signal else [any(group) for group in valid]
    shaped = _shaped_rewards(prompts, rewards, settings)
    kept = tuple(p for p in range(len(prompts)) if keeps[p])
    on_axis = [
        (k * len(prompts[p]) + g, rollout)
        for k, p in enumerate(kept)
        for g, rollout in enumerate(prompts[p])
        if valid[p][g]
    ]

    def lay(numbers: Callable[[NaiveRollout], Sequence[float] | None]) -> list[float]:
        """The numbers of the tokens that were chosen, of all rollouts end to end."""
        return [
            number
            for _, rollout in on_axis
            for place, number in enumerate(numbers(rollout) or ())
            if place not in rollout.forced
        ]

    return _Batch(
        kept_prompts=kept,
        rewards=[shaped[p] for p in kept],
        valid=[valid[p] for p in kept],
        row=[i for i, rollout in on_axis for place in range(len(rollout.logprobs)) if place not in rollout.forced],
        logprobs=lay(lambda rollout: rollout.logprobs),
        old_logprobs=lay(lambda rollout: rollout.old_logprobs),
        behaviour_logprobs=lay(lambda rollout: rollout.behaviour_logprobs),
        reference_logprobs=lay(lambda rollout: rollout.reference_logprobs),
        entropies=lay(lambda rollout: rollout.entropies),
        values=lay(lambda rollout: rollout.values),
        old_values=lay(lambda rollout: rollout.old_values),
    )


def _gated_rewards(prompts: Prompts, settings: NaiveSettings) -> list[list[float]]:
    rewards = [[rollout.reward for rollout in group] for group in prompts]
    if not settings.format_gate:
        return rewards
    return oracle.naive_format_gate(rewards, [[rollout.format_ok for rollout in group] for group in prompts])


def _shaped_rewards(prompts: Prompts, rewards: oracle.Rewards, settings: NaiveSettings) -> list[list[float]]:
    lengths = [[len(rollout.logprobs) for rollout in group] for group in prompts]
    buffer = int(settings.overlong_share * settings.max_tokens)
    penalties = oracle.naive_overlong_penalty(lengths, settings.max_tokens, buffer)
    return [
        [reward + penalty for reward, penalty in zip(group, group_penalties, strict=True)]
        for group, group_penalties in zip(rewards, penalties, strict=True)
    ]


def _group_advantages(batch: _Batch, settings: NaiveSettings, own_scaling: str) -> list[list[float]]:
    scaling = settings.scaling or own_scaling
    if scaling == "std":
        return oracle.naive_group_normalized(batch.rewards, batch.valid)
    if scaling == "batch":
        return oracle.naive_batch_scaled(batch.rewards, batch.valid, batch_share=settings.batch_baseline)
    return oracle.naive_group_centered(batch.rewards, batch.valid, settings.batch_baseline)


def _reward_kl(batch: _Batch, settings: NaiveSettings) -> list[float]:
    """k1 of each token, of the policy that answered: a number, without gradient."""
    if settings.beta == 0:
        return [0.0] * len(batch.row)
    return oracle.naive_k1(batch.old_logprobs, batch.reference_logprobs)


def _token_rewards(batch: _Batch, settings: NaiveSettings) -> list[float]:
    """The grade at the last token, less beta k1 at every token."""
    grades = oracle.naive_on_last_token(batch.rewards, batch.row)
    return [grade - settings.beta * kl for grade, kl in zip(grades, _reward_kl(batch, settings), strict=True)]


def _tokenwise(values: list[float], slopes: Sequence[float]) -> _Terms:
    """Terms that each depend on their own token only."""
    return _Terms(
        values=values,
        gradient=lambda weights: [weight * slope for weight, slope in zip(weights, slopes, strict=True)],
    )


def _clipped(batch: _Batch, settings: NaiveSettings, advantages: _Advantages) -> _Terms:
    arguments = (batch.logprobs, batch.old_logprobs, advantages.advantages, settings.low, settings.high, settings.dual)
    return _tokenwise(oracle.naive_clipped(*arguments), oracle.naive_clipped_gradient(*arguments))


def _reinforce(batch: _Batch, advantages: _Advantages) -> _Terms:
    return _tokenwise(
        oracle.naive_reinforce(batch.logprobs, advantages.advantages),
        oracle.naive_reinforce_gradient(advantages.advantages),
    )


def _k2(batch: _Batch, settings: NaiveSettings) -> _Terms | None:
    if settings.beta == 0:
        return None
    arguments = (batch.logprobs, batch.reference_logprobs)
    return _tokenwise(oracle.naive_k2(*arguments), oracle.naive_k2_gradient(*arguments))


def _k3(batch: _Batch, settings: NaiveSettings) -> _Terms | None:
    if settings.beta == 0:
        return None
    arguments = (batch.logprobs, batch.reference_logprobs)
    return _tokenwise(oracle.naive_k3(*arguments), oracle.naive_k3_gradient(*arguments))


def _scaled(terms: _Terms, factors: Sequence[float]) -> _Terms:
    """Terms multiplied by constants, one a token."""
    return _Terms(
        values=[factor * value for factor, value in zip(factors, terms.values, strict=True)],
        gradient=lambda weights: terms.gradient([f * weight for f, weight in zip(factors, weights, strict=True)]),
    )


def _corrected(batch: _Batch, settings: NaiveSettings, surrogate: _Terms) -> _Terms:
    if settings.importance_cap is None:
        return surrogate
    return _scaled(
        surrogate,
        oracle.naive_truncated_importance(batch.old_logprobs, batch.behaviour_logprobs, settings.importance_cap),
    )


def _value_terms(batch: _Batch, settings: NaiveSettings, returns: Sequence[float]) -> _Terms:
    """The critic's terms; their gradient is by the values."""
    arguments = (batch.values, batch.old_values, returns, settings.value_clip)
    losses = _tokenwise(oracle.naive_value_loss(*arguments), oracle.naive_value_loss_gradient(*arguments))
    return _scaled(losses, [settings.value_coefficient] * len(batch.row))


def _answer(batch: _Batch, settings: NaiveSettings, advantages: _Advantages, objective: _Objective) -> NaiveStep:
    """Adds up a token's term: factor * surrogate + beta * KL - bonus * entropy + coefficient * value loss."""
    weights, bonus = objective.weights, settings.entropy_bonus
    policy = [_corrected(batch, settings, objective.surrogate)]
    if objective.kl is not None:
        policy.append(_scaled(objective.kl, [settings.beta] * len(batch.row)))
    value = None if advantages.returns is None else _value_terms(batch, settings, advantages.returns)
    gradients = [part.gradient(weights) for part in policy]
    parts = policy if value is None else [*policy, value]
    terms = [math.fsum(part.values[n] for part in parts) - bonus * entropy for n, entropy in enumerate(batch.entropies)]
    return NaiveStep(
        kept_prompts=batch.kept_prompts,
        row=batch.row,
        shaped_rewards=batch.rewards,
        valid=batch.valid,
        advantages=advantages.advantages,
        returns=advantages.returns,
        terms=terms,
        weights=weights,
        loss=math.fsum(weight * term for weight, term in zip(weights, terms, strict=True)),
        gradient=[math.fsum(slopes) for slopes in zip(*gradients, strict=True)],
        entropy_gradient=[-bonus * weight for weight in weights],
        value_gradient=None if value is None else value.gradient(weights),
    )

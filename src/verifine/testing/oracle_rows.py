"""Every row of the table of algorithms, worked out token by token, with its gradient by hand.

`ROWS[name](prompts, settings)` takes what a step knows of its rollouts and says what training must make of them. The
parts are the functions of `oracle`; here they are composed as each paper does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from verifine.testing import oracle
from verifine.testing.oracle import sequence_mean, token_mean
from verifine.testing.oracle_batch import Prompts


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be chosen; `default_settings` knows what differs by row."""

    max_tokens: int
    low: float = 0.2
    high: float = 0.2
    dual: float | None = None
    """None is no dual clip."""
    beta: float = 0.0
    entropy_bonus: float = 0.0
    importance_cap: float | None = None
    """None where engine and learner are one: no correction."""
    overlong_share: float = 0.0
    """Of max_tokens: how long before the limit the penalty begins."""
    format_gate: bool = False
    drop_truncated: bool = False
    scaling: Literal["none", "std", "batch"] | None = None
    """What centred group rewards are divided by, where nothing else is done to them; None is the row's own."""
    gamma: float = 1.0
    lam: float = 0.95
    value_clip: float = 0.2
    value_coefficient: float = 0.5
    reused: bool = False
    """Whether the batch serves more than one update (only rloo asks)."""


def default_settings(name: str, max_tokens: int) -> Settings:
    """The settings of a row as its authors used it."""
    match name:
        case "dapo":
            return Settings(max_tokens=max_tokens, high=0.28, overlong_share=0.2)
        case "gspo":
            return Settings(max_tokens=max_tokens, low=3e-4, high=4e-4)
        case "cispo":
            return Settings(max_tokens=max_tokens, high=5.0)
        case _:
            return Settings(max_tokens=max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    """Of the loss by each logprob."""
    entropy_gradient: list[float]
    """Of the loss by each entropy."""
    value_gradient: list[float] | None
    """Of the loss by each value; None without a critic."""


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

    def at_tokens(self, credit: Sequence[Sequence[float]]) -> list[float]:
        """Gives every token the number of its rollout."""
        flat = [value for group in credit for value in group]
        return [flat[i] for i in self.row]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """A kind of loss term: its value a token, and the gradient of its sum under given weights."""

    values: list[float]
    gradient: Callable[[Sequence[float]], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credit:
    advantages: list[float]
    returns: list[float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objective:
    surrogate: _Terms
    weights: list[float]
    kl: _Terms | None = None
    """None: KL is in the reward, or there is none."""


def grpo(prompts: Prompts, settings: Settings) -> Answer:
    """Group-normalized rewards, clipped ratios, KL to the reference in the loss (arXiv:2402.03300, equation 3)."""
    batch = _lay_out(prompts, settings)
    credit = _Credit(advantages=batch.at_tokens(_group_credit(batch, settings.scaling or "std")))
    surrogate, kl = _clipped(batch, settings, credit), _k3(batch, settings)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=sequence_mean(batch.row), kl=kl))


def dr_grpo(prompts: Prompts, settings: Settings) -> Answer:
    """GRPO without its two divisions, by the std and by the rollout's length (arXiv:2503.20783)."""
    batch = _lay_out(prompts, settings)
    credit = _Credit(advantages=batch.at_tokens(_group_credit(batch, settings.scaling or "none")))
    surrogate, kl = _clipped(batch, settings, credit), _k3(batch, settings)
    weights = oracle.constant_length(batch.row, settings.max_tokens)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=weights, kl=kl))


def dapo(prompts: Prompts, settings: Settings) -> Answer:
    """Only groups with signal, a higher upper clip, one mean over all tokens, no KL (arXiv:2503.14476, equation 8)."""
    if settings.beta:
        raise ValueError("DAPO has no KL to the reference")
    batch = _lay_out(prompts, settings, needs_signal=True)
    credit = _Credit(advantages=batch.at_tokens(_group_credit(batch, settings.scaling or "std")))
    surrogate = _clipped(batch, settings, credit)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=token_mean(batch.row)))


def rloo(prompts: Prompts, settings: Settings) -> Answer:
    """Rewards less KL against those of the siblings; the whole response is one action (arXiv:2402.14740)."""
    batch = _lay_out(prompts, settings)
    rewards = [list(group) for group in batch.rewards]
    for i, kl in zip(batch.row, _reward_kl(batch, settings), strict=True):
        rewards[i // len(rewards[0])][i % len(rewards[0])] -= settings.beta * kl
    credit = _Credit(advantages=batch.at_tokens(oracle.leave_one_out(rewards, batch.valid)))
    surrogate = _clipped(batch, settings, credit) if settings.reused else _reinforce(batch, credit)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=oracle.rollout_sum(batch.row)))


def reinforce_pp(prompts: Prompts, settings: Settings) -> Answer:
    """Each token's return, of reward at the end and KL on the way, whitened (REINFORCE++, arXiv:2501.03262)."""
    batch = _lay_out(prompts, settings)
    returns = oracle.returns_to_go(_token_rewards(batch, settings), batch.row, settings.gamma)
    credit = _Credit(advantages=oracle.whitened(returns))
    surrogate = _clipped(batch, settings, credit)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=token_mean(batch.row)))


def reinforce_pp_baseline(prompts: Prompts, settings: Settings) -> Answer:
    """Group-centred rewards, whitened over all tokens; KL as k2 in the loss (arXiv:2501.03262)."""
    batch = _lay_out(prompts, settings)
    centered = oracle.group_centered(batch.rewards, batch.valid)
    credit = _Credit(advantages=oracle.whitened(batch.at_tokens(centered)))
    surrogate, kl = _clipped(batch, settings, credit), _k2(batch, settings)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=token_mean(batch.row), kl=kl))


def ppo(prompts: Prompts, settings: Settings) -> Answer:
    """Generalized advantages of a critic, whitened, and the critic's own loss (arXiv:1707.06347, equation 9)."""
    batch = _lay_out(prompts, settings)
    rewards = _token_rewards(batch, settings)
    estimates, returns = oracle.gae(rewards, batch.old_values, batch.row, settings.gamma, settings.lam)
    credit = _Credit(advantages=oracle.whitened(estimates), returns=returns)
    surrogate = _clipped(batch, settings, credit)
    return _answer(batch, settings, credit, _Objective(surrogate=surrogate, weights=token_mean(batch.row)))


def gspo(prompts: Prompts, settings: Settings) -> Answer:
    """GRPO with one ratio and one clip a rollout (arXiv:2507.18071, equation 5)."""
    batch = _lay_out(prompts, settings)
    credit = _Credit(advantages=batch.at_tokens(_group_credit(batch, settings.scaling or "std")))
    arguments = (batch.logprobs, batch.old_logprobs, credit.advantages, batch.row, settings.low, settings.high)
    surrogate = _Terms(
        values=oracle.sequence_clipped(*arguments),
        gradient=lambda weights: oracle.sequence_clipped_gradient(*arguments, weights),
    )
    objective = _Objective(surrogate=surrogate, weights=sequence_mean(batch.row), kl=_k3(batch, settings))
    return _answer(batch, settings, credit, objective)


def cispo(prompts: Prompts, settings: Settings) -> Answer:
    """REINFORCE with a capped, constant ratio, one mean over all tokens (arXiv:2506.13585, equation 4)."""
    batch = _lay_out(prompts, settings, needs_signal=True)
    credit = _Credit(advantages=batch.at_tokens(_group_credit(batch, settings.scaling or "none")))
    arguments = (batch.logprobs, batch.old_logprobs, credit.advantages, settings.high)
    surrogate = _tokenwise(oracle.cispo(*arguments), oracle.cispo_gradient(*arguments))
    objective = _Objective(surrogate=surrogate, weights=token_mean(batch.row), kl=_k3(batch, settings))
    return _answer(batch, settings, credit, objective)


ROWS: Mapping[str, Callable[[Prompts, Settings], Answer]] = {
    "grpo": grpo,
    "dr_grpo": dr_grpo,
    "dapo": dapo,
    "rloo": rloo,
    "reinforce_pp": reinforce_pp,
    "reinforce_pp_baseline": reinforce_pp_baseline,
    "ppo": ppo,
    "gspo": gspo,
    "cispo": cispo,
}


def _lay_out(prompts: Prompts, settings: Settings, needs_signal: bool = False) -> _Batch:
    """Shapes rewards, drops what counts for nobody, and puts what is left on the flat axis."""
    valid = [[rollout.valid for rollout in group] for group in prompts]
    if settings.drop_truncated:
        valid = oracle.drop_truncated(valid, [[rollout.truncated for rollout in group] for group in prompts])
    rewards = _gated_rewards(prompts, settings)
    # Dynamic sampling asks whether answers differ in what they earned, not in their length.
    keeps = oracle.has_signal(rewards, valid) if needs_signal else [any(group) for group in valid]
    shaped = _shaped_rewards(prompts, rewards, settings)
    kept = tuple(p for p in range(len(prompts)) if keeps[p])
    on_axis = [
        (k * len(prompts[p]) + g, rollout)
        for k, p in enumerate(kept)
        for g, rollout in enumerate(prompts[p])
        if valid[p][g]
    ]
    rollouts = [rollout for _, rollout in on_axis]
    return _Batch(
        kept_prompts=kept,
        rewards=[shaped[p] for p in kept],
        valid=[valid[p] for p in kept],
        row=[i for i, rollout in on_axis for _ in rollout.logprobs],
        logprobs=_end_to_end(rollout.logprobs for rollout in rollouts),
        old_logprobs=_end_to_end(rollout.old_logprobs for rollout in rollouts),
        behaviour_logprobs=_end_to_end(rollout.behaviour_logprobs for rollout in rollouts),
        reference_logprobs=_end_to_end(rollout.reference_logprobs or () for rollout in rollouts),
        entropies=_end_to_end(rollout.entropies for rollout in rollouts),
        values=_end_to_end(rollout.values or () for rollout in rollouts),
        old_values=_end_to_end(rollout.old_values or () for rollout in rollouts),
    )


def _gated_rewards(prompts: Prompts, settings: Settings) -> list[list[float]]:
    rewards = [[rollout.reward for rollout in group] for group in prompts]
    if not settings.format_gate:
        return rewards
    return oracle.format_gate(rewards, [[rollout.format_ok for rollout in group] for group in prompts])


def _shaped_rewards(prompts: Prompts, rewards: oracle.Rewards, settings: Settings) -> list[list[float]]:
    lengths = [[len(rollout.logprobs) for rollout in group] for group in prompts]
    buffer = int(settings.overlong_share * settings.max_tokens)
    penalties = oracle.overlong_penalty(lengths, settings.max_tokens, buffer)
    return [
        [reward + penalty for reward, penalty in zip(group, group_penalties, strict=True)]
        for group, group_penalties in zip(rewards, penalties, strict=True)
    ]


def _end_to_end(lists: Iterable[Sequence[float]]) -> list[float]:
    return [number for numbers in lists for number in numbers]


def _group_credit(batch: _Batch, scaling: str) -> list[list[float]]:
    if scaling == "std":
        return oracle.group_normalized(batch.rewards, batch.valid)
    if scaling == "batch":
        return oracle.batch_scaled(batch.rewards, batch.valid)
    return oracle.group_centered(batch.rewards, batch.valid)


def _reward_kl(batch: _Batch, settings: Settings) -> list[float]:
    """k1 of each token, of the policy that answered: a number, without gradient."""
    if settings.beta == 0:
        return [0.0] * len(batch.row)
    return oracle.k1(batch.old_logprobs, batch.reference_logprobs)


def _token_rewards(batch: _Batch, settings: Settings) -> list[float]:
    """The grade at the last token, less beta k1 at every token."""
    grades = oracle.on_last_token(batch.rewards, batch.row)
    return [grade - settings.beta * kl for grade, kl in zip(grades, _reward_kl(batch, settings), strict=True)]


def _tokenwise(values: list[float], slopes: Sequence[float]) -> _Terms:
    """Terms of which each depends on its own token only."""
    return _Terms(
        values=values,
        gradient=lambda weights: [weight * slope for weight, slope in zip(weights, slopes, strict=True)],
    )


def _clipped(batch: _Batch, settings: Settings, credit: _Credit) -> _Terms:
    arguments = (batch.logprobs, batch.old_logprobs, credit.advantages, settings.low, settings.high, settings.dual)
    return _tokenwise(oracle.clipped(*arguments), oracle.clipped_gradient(*arguments))


def _reinforce(batch: _Batch, credit: _Credit) -> _Terms:
    return _tokenwise(oracle.reinforce(batch.logprobs, credit.advantages), oracle.reinforce_gradient(credit.advantages))


def _k2(batch: _Batch, settings: Settings) -> _Terms | None:
    if settings.beta == 0:
        return None
    arguments = (batch.logprobs, batch.reference_logprobs)
    return _tokenwise(oracle.k2(*arguments), oracle.k2_gradient(*arguments))


def _k3(batch: _Batch, settings: Settings) -> _Terms | None:
    if settings.beta == 0:
        return None
    arguments = (batch.logprobs, batch.reference_logprobs)
    return _tokenwise(oracle.k3(*arguments), oracle.k3_gradient(*arguments))


def _scaled(terms: _Terms, factors: Sequence[float]) -> _Terms:
    """Terms multiplied by constants, one a token."""
    return _Terms(
        values=[factor * value for factor, value in zip(factors, terms.values, strict=True)],
        gradient=lambda weights: terms.gradient([f * weight for f, weight in zip(factors, weights, strict=True)]),
    )


def _corrected(batch: _Batch, settings: Settings, surrogate: _Terms) -> _Terms:
    if settings.importance_cap is None:
        return surrogate
    return _scaled(
        surrogate, oracle.truncated_importance(batch.old_logprobs, batch.behaviour_logprobs, settings.importance_cap)
    )


def _value_terms(batch: _Batch, settings: Settings, returns: Sequence[float]) -> _Terms:
    """The critic's terms; their gradient is by the values."""
    arguments = (batch.values, batch.old_values, returns, settings.value_clip)
    losses = _tokenwise(oracle.value_loss(*arguments), oracle.value_loss_gradient(*arguments))
    return _scaled(losses, [settings.value_coefficient] * len(batch.row))


def _answer(batch: _Batch, settings: Settings, credit: _Credit, objective: _Objective) -> Answer:
    """Adds up a token's term: factor * surrogate + beta * KL - bonus * entropy + coefficient * value loss."""
    weights, bonus = objective.weights, settings.entropy_bonus
    policy = [_corrected(batch, settings, objective.surrogate)]
    if objective.kl is not None:
        policy.append(_scaled(objective.kl, [settings.beta] * len(batch.row)))
    value = None if credit.returns is None else _value_terms(batch, settings, credit.returns)
    gradients = [part.gradient(weights) for part in policy]
    parts = policy if value is None else [*policy, value]
    terms = [math.fsum(part.values[n] for part in parts) - bonus * entropy for n, entropy in enumerate(batch.entropies)]
    return Answer(
        kept_prompts=batch.kept_prompts,
        row=batch.row,
        shaped_rewards=batch.rewards,
        valid=batch.valid,
        advantages=credit.advantages,
        returns=credit.returns,
        terms=terms,
        weights=weights,
        loss=math.fsum(weight * term for weight, term in zip(weights, terms, strict=True)),
        gradient=[math.fsum(slopes) for slopes in zip(*gradients, strict=True)],
        entropy_gradient=[-bonus * weight for weight in weights],
        value_gradient=None if value is None else value.gradient(weights),
    )

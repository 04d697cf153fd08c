"""An algorithm: the functions that its row names, with the settings of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from jaxtyping import Bool, Float
from torch import Tensor

from verifine.algorithms.advantages import GROUP_ADVANTAGES, GroupAdvantages
from verifine.algorithms.entropy_control import EntropyState
from verifine.algorithms.estimators import (
    AdvantageEstimator,
    CriticEstimator,
    GroupEstimator,
    PoolEstimator,
    ReturnEstimator,
)
from verifine.algorithms.kl import k1
from verifine.algorithms.loss import KL, Loss, ValueTerm
from verifine.algorithms.loss_inputs import Clip
from verifine.algorithms.shaping import GROUP_FILTERS, drop_truncated, format_gate, overlong_penalty
from verifine.batch import Advantages, Batch, Estimates, RolloutBatch
from verifine.config import AlgorithmConfig, CriticConfig, EntropyControlConfig, RewardConfig
from verifine.config.recipes import SCALINGS, Recipe, SurrogateName
from verifine.errors import ConfigError

NO_LOWER_BOUND = 1.0
"""A ratio is never below 0, so this lower clip bounds nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A row of the table with the settings of a run."""

    recipe: Recipe
    estimator: AdvantageEstimator
    loss: Loss
    overlong_share: float
    """The last part of the token limit, over which the soft overlong penalty rises; 0: none."""
    drops_truncated: bool
    gates_format: bool
    """Whether an answer in the wrong format earns nothing."""
    compares_within_groups: bool
    """As `RewardConfig.compares_within_groups`."""
    entropy_control: EntropyControlConfig | None = None
    """None: the entropy bonus is a constant of `loss`."""

    def shape(self, rollouts: RolloutBatch, max_tokens: int) -> RolloutBatch:
        """Scores become rewards, and it is decided which rollouts count and which groups are kept."""
        valid = drop_truncated(rollouts.valid, rollouts.truncated()) if self.drops_truncated else rollouts.valid
        rewards = format_gate(rollouts.rewards, rollouts.format_ok()) if self.gates_format else rollouts.rewards
        buffer = int(self.overlong_share * max_tokens)
        return replace(
            rollouts,
            rewards=rewards + overlong_penalty(rollouts.lengths(), max_tokens, buffer, dtype=rewards.dtype),
            valid=valid,
            # Of rewards without the penalty: a group with answers that differ in length alone teaches nothing else.
            keeps=self._keeps(rewards, valid),
        )

    def right(self, rollouts: RolloutBatch, pass_score: float) -> Bool[Tensor, "P G"]:
        """The rollouts that count and are right; in the wrong format none is, where that earns nothing."""
        right = rollouts.passes(pass_score)
        return right & rollouts.format_ok() if self.gates_format else right

    def advantages(self, batch: Batch, estimates: Estimates) -> Advantages:
        """What each token of a step did for the reward."""
        return self.estimator(batch, estimates, self._penalty(estimates))

    def loss_of_step(self, entropy: EntropyState) -> Loss:
        """What a step minimises, with the entropy bonus that the controller has come to."""
        return self.loss if self.entropy_control is None else replace(self.loss, entropy_bonus=entropy.bonus)

    @property
    def needs_reference(self) -> bool:
        return self.loss.kl is not None and self.loss.kl.beta > 0

    @property
    def penalises_in_reward(self) -> bool:
        """Whether a KL penalty is taken off the reward."""
        return self.needs_reference and not self.loss.penalises_divergence

    def _keeps(self, rewards: Float[Tensor, "P G"], valid: Bool[Tensor, "P G"]) -> Bool[Tensor, " P"]:
        name = self.recipe.group_filter
        return valid.any(dim=1) if name is None else GROUP_FILTERS[name](rewards, valid)

    def _penalty(self, estimates: Estimates) -> Float[Tensor, " N"] | None:
        if not self.penalises_in_reward:
            return None
        assert self.loss.kl is not None
        if estimates.old_logprobs is None or estimates.reference_logprobs is None:
            raise ValueError("a KL penalty in the reward needs the old and the reference's log-probabilities")
        return self.loss.kl.beta * k1(estimates.old_logprobs, estimates.reference_logprobs)


def build_algorithm(
    config: AlgorithmConfig, reward: RewardConfig, *, pools: bool = False, advantages: GroupAdvantages | None = None
) -> Algorithm:
    """The algorithm of a run.

    Args:
        config: Its row, and what differs from it.
        reward: How scores become rewards.
        pools: As many answers are drawn for a prompt as it needs.
        advantages: What takes the place of the row's advantages; None: nothing.

    Raises:
        ConfigError: `advantages` cannot take the place of those of this row, or of these settings.
    """
    if advantages is not None:
        _refuse_own_advantages(config.recipe, reward, pools=pools)
    row, shaping = config.recipe, reward.decided(config.recipe, pools=pools)
    assert shaping.overlong_share is not None
    critic = (config.critic or CriticConfig()) if row.has_critic else None
    return Algorithm(
        recipe=row,
        estimator=PoolEstimator() if pools else _estimator(row, critic, shaping, advantages),
        loss=_loss(config, critic),
        overlong_share=shaping.overlong_share,
        drops_truncated=config.drop_truncated,
        gates_format=reward.format_gate,
        compares_within_groups=reward.compares_within_groups(row),
        entropy_control=config.entropy_control,
    )


def default_algorithm(name: str) -> Algorithm:
    """An algorithm as its row and the defaults of the settings have it."""
    return build_algorithm(AlgorithmConfig(name=name), RewardConfig())


def _refuse_own_advantages(row: Recipe, reward: RewardConfig, *, pools: bool) -> None:
    if not row.compares_groups:
        raise ConfigError(
            f"algorithm: {row.name} does not compare the answers to a prompt, so advantages of your own cannot take "
            "the place of its advantages; take grpo or dr_grpo"
        )
    if pools:
        raise ConfigError("sampling.rounds and sampling.allocation have advantages of their own; remove them")
    if reward.scaling not in (None, row.scaling) or reward.batch_baseline:
        raise ConfigError(
            "reward: scaling and batch_baseline say how the row's advantages are computed, and yours take their "
            "place; remove them"
        )


def _estimator(
    row: Recipe, critic: CriticConfig | None, shaping: RewardConfig, own: GroupAdvantages | None
) -> AdvantageEstimator:
    if critic is not None:
        return CriticEstimator(gamma=critic.gamma, lam=critic.lam)
    if row.advantage == "returns_to_go":
        return ReturnEstimator()
    if own is not None:
        return GroupEstimator(advantages=own, whitens=row.whitens)
    advantages = GROUP_ADVANTAGES[row.advantage if shaping.scaling is None else SCALINGS[shaping.scaling]]
    if shaping.batch_baseline:
        advantages = partial(advantages, batch_share=shaping.batch_baseline)
    return GroupEstimator(advantages=advantages, whitens=row.whitens)


def _loss(config: AlgorithmConfig, critic: CriticConfig | None) -> Loss:
    row, decided = config.recipe, config.decided()
    assert decided.clip_high is not None
    return Loss(
        surrogate=_surrogate(row.surrogate, config.updates_per_step),
        clip=Clip(
            low=NO_LOWER_BOUND if decided.clip_low is None else decided.clip_low,
            high=decided.clip_high,
            dual=config.dual_clip,
        ),
        averaging=row.averaging,
        kl=None if row.kl is None else KL(estimator=row.kl.estimator, place=row.kl.place, beta=config.beta),
        entropy_bonus=config.entropy_bonus,
        importance_cap=config.importance_cap,
        value=None if critic is None else ValueTerm(clip=critic.value_clip, coefficient=critic.coefficient),
    )


def _surrogate(surrogate: SurrogateName, updates: int) -> SurrogateName:
    """A batch that is used more than once has ratios, and REINFORCE has no bound for them."""
    return "clipped" if surrogate == "reinforce" and updates > 1 else surrogate

"""The `algorithm` and `reward` sections, and which of their settings mean something for which algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from verifine.config.graders import Schema
from verifine.config.recipes import RECIPES, AlgorithmName, Recipe, Scaling, find_recipe_name

LearningRate = Annotated[float, Field(gt=0)] | Literal["auto"]


def _canonical(name: object) -> object:
    return find_recipe_name(name) if isinstance(name, str) else name


def _names(rows: Iterable[Recipe], word: str = "and") -> str:
    """The names of some rows, as a list in prose."""
    *others, last = [row.name for row in rows]
    return f"{', '.join(others)} {word} {last}" if others else last


_WITH_CRITIC = _names(row for row in RECIPES.values() if row.has_critic)
_WITH_FILTER = _names(row for row in RECIPES.values() if row.group_filter is not None)
_OWN_SHARES = ", ".join(f"{row.overlong_share:g} for {row.name}" for row in RECIPES.values() if row.overlong_share)
_WITH_SCALING = _names(row for row in RECIPES.values() if row.scaling is not None)
WITH_POOLS = _names((row for row in RECIPES.values() if row.takes_pools), "or")
WITHOUT_GROUPS = _names((row for row in RECIPES.values() if not row.compares_groups), "or")


class CriticConfig(Schema):
    """The critic of ppo: what reward it expects before each token."""

    kind: Literal["head", "model"] = Field(
        default="head",
        description="head: a linear layer on the policy's own trunk; model: a second copy of the model, all of which "
        "learns: it costs the memory and time of full training again, and shares nothing with the policy.",
    )
    learning_rate: LearningRate = Field(
        default="auto",
        description="auto: that of full training for a model (also beside a policy with LoRA), fifty times that for a "
        "head.",
    )
    gamma: float = Field(default=1.0, ge=0, le=1, description="What a reward is worth one token earlier.")
    lam: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Generalised advantage estimation: 1 trusts the rewards alone, 0 the critic alone.",
    )
    value_clip: float = Field(default=0.2, gt=0, description="How far a value may move in the updates of a step.")
    coefficient: float = Field(default=0.5, gt=0, description="Weight of the critic's loss.")


class EntropyControlConfig(Schema):
    """An entropy bonus that is raised while the policy is more decided than it should be, and lowered while it is not.

    The entropy is estimated from the answers: the mean of -log p over their tokens, which needs no update to be known.
    """

    target: float = Field(
        default=0.5,
        gt=0,
        description="The entropy a token that is held, as a share of what it was in the first `start_steps` steps.",
    )
    start_steps: int = Field(default=5, ge=1, description="Steps from which the start's entropy is taken.")
    step: float = Field(default=0.005, gt=0, description="What the bonus is raised or lowered by after each step.")
    highest: float = Field(default=0.05, gt=0, description="The bonus does not rise above this.")


class AlgorithmConfig(Schema):
    """How rewards become a gradient. What is null is taken from the algorithm's row in `config.recipes`."""

    name: Annotated[AlgorithmName, BeforeValidator(_canonical)] = Field(
        default="grpo", description="The algorithm: a row of the table in `config.recipes`; see docs/algorithms.md."
    )
    clip_low: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Ratios below 1 - clip_low earn no more. With one update a batch every ratio is 1.",
    )
    clip_high: float | None = Field(
        default=None, gt=0, description="Ratios above 1 + clip_high earn no more; see clip_low."
    )
    dual_clip: float | None = Field(
        default=None,
        gt=1,
        description="Bound on what a token of negative advantage costs, as a multiple of it, however likely the token "
        "has become; 3 is usual, null is no bound.",
    )
    beta: float = Field(
        default=0.0,
        ge=0,
        description="Weight of the KL penalty to the starting model. Above 0 keeps a frozen copy of it, unless "
        "model.lora is on: then the adapters are switched off for it.",
    )
    entropy_bonus: float = Field(
        default=0.0, ge=0, description="Weight of the policy's entropy in the loss: keeps it undecided for longer."
    )
    entropy_control: EntropyControlConfig | None = Field(
        default=None,
        description="In place of a fixed entropy_bonus, one that holds the entropy at a target; `entropy_control: {}` "
        "takes the defaults, null has none.",
    )
    entropy_min_p: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="The bonus counts only tokens with at least this share of the likeliest token's probability, so "
        "that it keeps plausible answers open and not thousands of tokens that make no sense; 0 counts every token.",
    )
    epochs: int = Field(default=1, ge=1, description="How often a step goes over its batch.")
    mini_batches: int = Field(
        default=1, ge=1, description="Into how many parts (of whole groups) each time, with one update for each."
    )
    subsample: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Skip most groups that hardly move the weights: where the bound of a group's gradient is below "
        "this share of the mean, the group is trained on by chance, and counts as much more when it is, so that the "
        "gradient is the same on average. For policies that are sure of most answers. null: train on all groups.",
    )
    importance_cap: float | None = Field(
        default=None,
        ge=1,
        description="Truncated importance sampling for an engine that disagrees with the learner: weigh terms by "
        "their ratio of probabilities up to this cap, usually 2. null: they are one model in one process, so there is "
        "nothing to correct.",
    )
    drop_truncated: bool = Field(default=False, description="Leave rollouts that hit max_new_tokens out of the update.")
    max_resample: int = Field(
        default=3,
        ge=0,
        description="Rounds of new prompts that an algorithm with a group filter may ask for in one step. For "
        f"{_WITH_FILTER}.",
    )
    critic: CriticConfig | None = Field(default=None, description=f"For {_WITH_CRITIC}; null takes its defaults.")

    @property
    def recipe(self) -> Recipe:
        """The algorithm's row."""
        return RECIPES[self.name]

    @property
    def updates_per_step(self) -> int:
        return self.epochs * self.mini_batches

    @model_validator(mode="after")
    def _beta_has_a_place(self) -> Self:
        if self.beta and self.recipe.kl is None:
            raise ValueError(
                f"`beta` must be 0: {self.name} has no KL penalty and keeps no reference model; take grpo for one"
            )
        return self

    @model_validator(mode="after")
    def _subsample_has_a_place(self) -> Self:
        if self.subsample is not None and self.mini_batches > 1:
            raise ValueError(
                "`subsample` needs mini_batches of 1: the groups of a mini-batch might all be left out; remove one of "
                "them"
            )
        return self

    @model_validator(mode="after")
    def _critic_has_a_place(self) -> Self:
        if self.critic is not None and not self.recipe.has_critic:
            raise ValueError(
                f"`critic` belongs to {_WITH_CRITIC}, and {self.name} has none; remove it, or set name to "
                f"{_WITH_CRITIC}"
            )
        return self

    @model_validator(mode="after")
    def _clips_something(self) -> Self:
        if self.dual_clip is not None and not self.recipe.has_dual_clip:
            raise ValueError(f"`dual_clip` means nothing to {self.name}; remove it")
        if self.clip_low is not None and self.recipe.clip_low is None:
            raise ValueError(f"`clip_low` means nothing to {self.name}, which bounds ratios from above only; remove it")
        return self

    @model_validator(mode="after")
    def _one_entropy_bonus(self) -> Self:
        if self.entropy_bonus and self.entropy_control is not None:
            raise ValueError("give either `entropy_bonus` (fixed) or `entropy_control` (as large as needed), not both")
        if self.entropy_min_p and not self.entropy_bonus and self.entropy_control is None:
            raise ValueError("`entropy_min_p` belongs to an entropy bonus; set `entropy_bonus`, or remove it")
        return self

    def decided(self) -> AlgorithmConfig:
        """The same algorithm, with what its row decides written out."""
        row = self.recipe
        values = {
            "clip_low": row.clip_low if self.clip_low is None else self.clip_low,
            "clip_high": row.clip_high if self.clip_high is None else self.clip_high,
            "critic": CriticConfig() if row.has_critic and self.critic is None else self.critic,
        }
        return self.model_copy(update=values)


class RewardConfig(Schema):
    """How the grader's scores become the rewards that advantages are computed from."""

    format_gate: bool = Field(
        default=False,
        description="An answer in the wrong format earns nothing, whatever its score (at most 0).",
    )
    overlong_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The last part of max_new_tokens, over which the reward falls by up to 1, so that answers stay "
        f"shorter; null: the algorithm's own, {_OWN_SHARES} and 0 for the others.",
    )
    scaling: Scaling | None = Field(
        default=None,
        description="What an advantage is divided by: none: nothing; std: the standard deviation of its group; batch: "
        f"that of the whole step. null: the algorithm's own. For {_WITH_SCALING}.",
    )
    batch_baseline: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of the whole step's mean reward in what an answer is compared with; the rest is its "
        "group's mean. Above 0, groups whose answers are all wrong, or all right, teach as well, so every group costs "
        "an update's time. Needs a `scaling` of none or batch.",
    )

    def compares_within_groups(self, row: Recipe) -> bool:
        """Whether answers are compared only with those to the same prompt: groups of equal rewards teach nothing."""
        return row.compares_groups and not self.batch_baseline

    def decided(self, row: Recipe, *, pools: bool = False) -> RewardConfig:
        """The same section, with what the algorithm's row decides written out.

        `pools`: as many answers are drawn for a prompt as it needs (`sampling.draws_pools`), and nothing is scaled.
        """
        scaling = "none" if pools else row.scaling
        values = {
            "overlong_share": row.overlong_share if self.overlong_share is None else self.overlong_share,
            "scaling": scaling if self.scaling is None else self.scaling,
        }
        return self.model_copy(update=values)

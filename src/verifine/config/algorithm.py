"""The `algorithm` and `reward` sections, and which of their settings mean something for which algorithm."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from verifine.config.graders import Schema

AlgorithmName = Literal[
    "grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo", "gspo", "cispo"
]

OTHER_NAMES = {"reinforce_ppb": "reinforce_pp_baseline"}
"""Names that other programs use."""

NEEDS_A_GROUP = frozenset({"grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp_baseline", "gspo", "cispo"})
"""Algorithms that compare the answers to one prompt with each other."""

SCALES = frozenset({"grpo", "dr_grpo", "dapo", "gspo", "cispo"})
"""Algorithms whose advantages are those of a group, as `reward.scaling` says, and nothing is done to them after."""

WITHOUT_KL = frozenset({"dapo"})
"""Algorithms without a KL penalty."""

DUAL_CLIPS = frozenset({"grpo", "dr_grpo", "dapo", "rloo", "reinforce_pp", "reinforce_pp_baseline", "ppo"})
"""Algorithms that clip a token's ratio from both sides."""

Scaling = Literal["none", "std", "batch"]

LearningRate = Annotated[float, Field(gt=0)] | Literal["auto"]


def _canonical(name: object) -> object:
    lowered = name.lower() if isinstance(name, str) else name
    return OTHER_NAMES.get(lowered, lowered) if isinstance(lowered, str) else lowered


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


class AlgorithmConfig(Schema):
    """How rewards become a gradient. What is null is taken from the algorithm's row in `algorithms.recipes`."""

    name: Annotated[AlgorithmName, BeforeValidator(_canonical)] = Field(
        default="grpo", description="The algorithm: a row of the table in `algorithms.recipes`; see docs/algorithms.md."
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
        "has become; 3 is usual, null is none.",
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
    epochs: int = Field(default=1, ge=1, description="How often a step goes over its batch.")
    mini_batches: int = Field(
        default=1, ge=1, description="Into how many parts (of whole groups) each time, with one update for each."
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
        description="Rounds of new prompts an algorithm with a group filter (dapo, cispo) may ask for in one step.",
    )
    critic: CriticConfig | None = Field(default=None, description="ppo alone has one; null takes its defaults.")

    @property
    def updates_per_step(self) -> int:
        return self.epochs * self.mini_batches

    @model_validator(mode="after")
    def _beta_has_a_place(self) -> Self:
        if self.beta and self.name in WITHOUT_KL:
            raise ValueError(
                f"`beta` must be 0: {self.name} has no KL penalty and keeps no reference model; take grpo for one"
            )
        return self

    @model_validator(mode="after")
    def _critic_is_ppos(self) -> Self:
        if self.critic is not None and self.name != "ppo":
            raise ValueError(f"`critic` belongs to ppo, and {self.name} has none; remove it, or set name to ppo")
        return self

    @model_validator(mode="after")
    def _clips_something(self) -> Self:
        if self.dual_clip is not None and self.name not in DUAL_CLIPS:
            raise ValueError(f"`dual_clip` means nothing to {self.name}; remove it")
        if self.clip_low is not None and self.name == "cispo":
            raise ValueError("`clip_low` means nothing to cispo, which bounds ratios from above only; remove it")
        return self


class RewardConfig(Schema):
    """How the grader's scores become the rewards that credit is given for."""

    format_gate: bool = Field(
        default=False,
        description="An answer in the wrong format earns nothing, whatever its score (at most 0).",
    )
    overlong_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The last part of max_new_tokens, over which the reward falls by up to 1, so that answers stay "
        "shorter; null: the algorithm's own, 0.2 for dapo and 0 for the others.",
    )
    scaling: Scaling | None = Field(
        default=None,
        description="What an advantage is divided by: none: nothing; std: the standard deviation of its group; batch: "
        "that of the whole step. null: the algorithm's own. For grpo, dr_grpo, dapo, gspo and cispo.",
    )

"""The `sampling` section: how many answers a step samples, how, and of which prompts."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.schema import Schema


class RoundsConfig(Schema):
    """Ask a prompt again until its answers differ, and train on `group_size` of them (Reinforce-Ada-Seq).

    Half of those are right and half wrong, as far as there are. An answer is compared with the mean of all answers that
    were drawn for its prompt, and no advantage is divided by a standard deviation. An answer is right if the grader
    says so; where the grader does not judge answers, if its score reaches evaluation.pass_score (0.9 if that is null).
    """

    until: Literal["positive", "balanced"] = Field(
        default="positive",
        description="positive: until `positives` answers are right. balanced: until half of group_size are right and "
        "half wrong, which costs more, most where the model is almost always right.",
    )
    answers: int | None = Field(
        default=None, ge=2, description="M: answers in a round, at least group_size; null: group_size."
    )
    rounds: int = Field(
        default=4,
        ge=2,
        description="N: the most rounds; a prompt costs at most N times M answers, and then teaches as it is.",
    )
    positives: int = Field(default=1, ge=1, description="K: right answers that end the rounds of `positive`.")

    @model_validator(mode="after")
    def _positives_mean_something(self) -> Self:
        if self.until == "balanced" and self.positives != 1:
            raise ValueError("`positives` belongs to until: positive; remove it, as balanced wants half of group_size")
        return self


class AllocationConfig(Schema):
    """Give prompts that are seldom answered right more answers, as their history says (Reinforce-Ada-Est).

    A prompt of success rate p gets a number of answers in proportion to 1 / sqrt(p); a step still samples
    prompts_per_step times group_size. All are trained on, with advantages that are weighed by 1 / sqrt(p) once more.
    """

    least: int = Field(default=2, ge=2, description="The fewest answers of a prompt.")
    most: int | None = Field(default=None, ge=2, description="The most answers of a prompt; null: 4 times group_size.")


class SkipConfig(Schema):
    """Ask prompts rarely that were always answered right or always wrong, as their history says."""

    floor: float = Field(
        default=0.05, ge=0.05, le=1, description="The least chance that a prompt is asked when its turn comes."
    )


class SamplingConfig(Schema):
    """How many answers a step samples, and how."""

    prompts_per_step: int = Field(default=8, ge=1, description="P: prompts a step.")
    group_size: int = Field(
        default=8,
        ge=1,
        description="G: answers sampled for each prompt; a group needs two to compare (ppo and reinforce_pp "
        "compare nothing).",
    )
    rounds: RoundsConfig | None = Field(
        default=None,
        description="Sample a prompt in rounds until right and wrong answers are there; `rounds: {}` takes the "
        "defaults, null samples group_size answers of each prompt.",
    )
    allocation: AllocationConfig | None = Field(
        default=None,
        description="Share a step's answers out by how hard its prompts were so far, for data that is gone through "
        "several times; null: group_size for each.",
    )
    skip: SkipConfig | None = Field(
        default=None,
        description="Leave prompts that teach nothing out for most of the time, for data that is gone through several "
        "times; null: every prompt once in each epoch.",
    )
    max_new_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Longest answer, in tokens; null: what a built-in task needs, else 256, and half of the context "
        "of a model that reads less than 512.",
    )
    temperature: float = Field(
        default=1.0, ge=0.01, le=10, description="Divides the logits, in sampling and in training."
    )
    thinking_token_budget: int | None = Field(
        default=None,
        ge=0,
        description="The most tokens that a reasoning model may think before it has to answer; its thought is then "
        "ended with `thinking_end`. Part of max_new_tokens; null: a thought may fill the whole answer.",
    )
    thinking_end: str = Field(
        default="\n</think>\n\n",
        description="What ends a thought whose budget is spent, with </think> once. A sentence before it may tell the "
        "model to answer now.",
    )
    stop: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(),
        description="An answer ends where it has written one of these. If that is within a token, its text ends there, "
        "and the whole token is learned.",
    )

    @property
    def draws_pools(self) -> bool:
        """Whether as many answers are drawn for a prompt as it needs, and not the same number for each."""
        return self.rounds is not None or self.allocation is not None

    @property
    def most_at_once(self) -> int:
        """The most answers that are sampled of a prompt at the same time."""
        decided = self.decided()
        counts = (decided.rounds and decided.rounds.answers, decided.allocation and decided.allocation.most)
        return max((count for count in counts if count), default=self.group_size)

    @property
    def answers_per_prompt(self) -> tuple[int, int]:
        """The fewest and the most answers that a prompt takes on average over a step."""
        if self.rounds is None:
            return self.group_size, self.group_size
        return self.most_at_once, self.most_at_once * self.rounds.rounds

    def decided(self) -> SamplingConfig:
        """The same section, with what follows from `group_size` written out."""
        rounds, allocation = self.rounds, self.allocation
        if rounds is not None and rounds.answers is None:
            rounds = rounds.model_copy(update={"answers": self.group_size})
        if allocation is not None and allocation.most is None:
            allocation = allocation.model_copy(update={"most": 4 * self.group_size})
        return self.model_copy(update={"rounds": rounds, "allocation": allocation})

    @model_validator(mode="after")
    def _thoughts_end_before_answers(self) -> Self:
        end = self.thinking_end
        if end.count("</think>") != 1:
            raise ValueError(
                "`thinking_end` needs </think> exactly once: it ends the thought, and the answer comes behind it"
            )
        if self.thinking_token_budget is not None and (stopping := [text for text in self.stop if text in end]):
            raise ValueError(
                f"`stop` has {stopping[0]!r}, which `thinking_end` writes: every forced end would stop there"
            )
        return self

    @model_validator(mode="after")
    def _one_kind_of_group(self) -> Self:
        if self.rounds is not None and self.allocation is not None:
            raise ValueError("give either `rounds` or `allocation`, not both: each decides how many answers are drawn")
        return self

    @model_validator(mode="after")
    def _rounds_fill_a_group(self) -> Self:
        if self.rounds is None:
            return self
        if self.most_at_once < self.group_size:
            raise ValueError(
                f"`rounds.answers` must be at least group_size ({self.group_size}): a prompt that ends after one round "
                "has to fill its group"
            )
        most = self.answers_per_prompt[1]
        if self.rounds.positives > most:
            raise ValueError(f"`rounds.positives` must be at most {most}, the answers of all rounds of a prompt")
        return self

    @model_validator(mode="after")
    def _allocation_is_around_the_group_size(self) -> Self:
        if self.allocation is None:
            return self
        least, most = self.allocation.least, self.most_at_once
        if not least <= self.group_size <= most:
            raise ValueError(
                f"`allocation` gives a prompt from {least} to {most} answers, but group_size ({self.group_size}) is "
                "what one gets on average; set `least` and `most` on either side of it"
            )
        return self

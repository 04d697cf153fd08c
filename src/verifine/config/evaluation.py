"""The `evaluation` section: how a model is evaluated on held-out prompts."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders import AnyGrader, GraderConfig, Schema


class EvaluationConfig(Schema):
    """How held-out prompts are answered and graded, and what follows from that.

    How often is `run.eval_interval`, and how many prompts `data.eval_size`.
    """

    samples: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="k: answers to each held-out prompt. 1: one greedy answer. More are sampled, and give avg@k and "
        "pass@k: raise it where one answer a prompt is too noisy, or to see what the model can do at all.",
    )
    temperature: float | None = Field(
        default=None,
        ge=0.01,
        le=10,
        description="Divides the logits where `samples` is above 1; null: as sampling.temperature.",
    )
    grader: GraderConfig | None = Field(
        default=None,
        description="A second grader that training never sees: it scores the same answers, and its scores decide which "
        "weights are best, when training stops early, and whether the model got better. null: the training grader's.",
    )
    pass_score: float | None = Field(
        default=None,
        description="The score from which an answer counts as solved, for graders that do not say themselves whether "
        "it is right; null: no pass@k for such graders, and 0.9 of 1 where training asks which answers are right.",
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="Training stops after this many evaluations in a row without a new best; null: it continues. Needs "
        "run.eval_interval.",
    )
    keep: Literal["last", "best"] = Field(
        default="last",
        description="Which weights become model/: the last, or those of the best evaluation. best needs "
        "run.eval_interval.",
    )

    @model_validator(mode="after")
    def _temperature_is_used(self) -> Self:
        if self.temperature is not None and self.samples == 1:
            raise ValueError(
                "`temperature` means nothing to one answer a prompt, which is greedy; raise samples, or remove it"
            )
        return self

    def passing(self, training: AnyGrader | None) -> float | None:
        """The score from which an answer counts as solved; None: it is not known.

        `training` is the training grader, which decides if there is no second one; None: a program brought it.
        """
        decides = self.grader or training
        return self.pass_score if self.pass_score is not None or decides is None else decides.traits.passing_score

    def passing_in_training(self, training: AnyGrader | None) -> float | None:
        """The same for scores of the training grader; with a second grader, `pass_score` is one of its scores."""
        if self.grader is None:
            return self.passing(training)
        return None if training is None else training.traits.passing_score

"""OpenAI's model judge that gives a number."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import PASS_THRESHOLD
from verifine.config.graders.judge_input import Judged, JudgeSampling, templates_in
from verifine.config.graders.traits import GraderTraits, Recognition


class ScoreModelGraderConfig(SingleGraderConfig):
    """OpenAI's model judge: another model reads the answer and gives it a number."""

    judges_format: ClassVar[bool] = False
    type: Literal["score_model"]
    name: str = "score_model"
    model: str = Field(min_length=1, description="The judge, as the server of `grading.judge` calls it.")
    input: Judged = Field(description="The chat that the judge reads; what it should value is written here.")
    range: tuple[float, float] = Field(default=(0.0, 1.0), description="Lowest and highest score; others are clipped.")
    sampling_params: JudgeSampling | None = Field(default=None, description="How the judge is sampled.")
    pass_threshold: float | None = PASS_THRESHOLD

    @field_validator("range", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: object) -> object:
        return (0.0, 1.0) if value is None else value

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if not self.range[0] < self.range[1]:
            raise ValueError(f"`range` is {list(self.range)}, but must be [lowest, highest]")
        return self

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=templates_in(self.input),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=1,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=False,
            passing_score=self.pass_threshold,
        )

"""OpenAI's model judge that chooses a label."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.judge_input import Judged, JudgeSampling, templates_in
from verifine.config.graders.traits import GraderTraits, Recognition


class LabelModelGraderConfig(SingleGraderConfig):
    """OpenAI's labelling judge, inside `multi` or `weighted`: 1 if the label is a passing one, else 0."""

    judges_format: ClassVar[bool] = False
    type: Literal["label_model"]
    name: str = "label_model"
    model: str = Field(min_length=1, description="The judge, as the server of `grading.judge` calls it.")
    input: Judged = Field(description="The chat that the judge reads.")
    labels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="The labels it chooses from.")
    passing_labels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Those that score 1.")
    sampling_params: JudgeSampling | None = Field(default=None, description="How the judge is sampled.")

    @model_validator(mode="after")
    def _passing_labels_are_labels(self) -> Self:
        unknown = [label for label in self.passing_labels if label not in self.labels]
        if unknown:
            raise ValueError(f"`passing_labels` names {', '.join(unknown)}; take from {', '.join(self.labels)}")
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
            passing_score=None,
        )

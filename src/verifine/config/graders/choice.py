"""One of several choices."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import INPUT, REFERENCE
from verifine.config.graders.schema import Share, Template
from verifine.config.graders.template import is_output_text
from verifine.config.graders.traits import GraderTraits, Recognition


class ChoiceGraderConfig(SingleGraderConfig):
    """1 if the answer names the right choice and no other, else 0. The format is right if it names exactly one."""

    judges_format: ClassVar[bool] = True
    type: Literal["choice"]
    name: str = "choice"
    input: Template = INPUT
    reference: Template = REFERENCE
    choices: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)] = Field(
        default=("A", "B", "C", "D"), description="The choices; upper and lower case are the same."
    )
    format_weight: Share = Field(
        default=0.0, description="The part of the score for naming exactly one choice, right or wrong."
    )

    @model_validator(mode="after")
    def _choices_differ(self) -> Self:
        if len({choice.casefold() for choice in self.choices}) < len(self.choices):
            raise ValueError("`choices` has a duplicate; upper and lower case are the same")
        return self

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input, self.reference),
            references=(self.reference,),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=True,
            recognition=Recognition.MUST if is_output_text(self.input) else Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=True,
            passing_score=None,
        )

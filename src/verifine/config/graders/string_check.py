"""OpenAI's string check."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.schema import Template
from verifine.config.graders.template import is_output_text
from verifine.config.graders.traits import GraderTraits, Recognition


class StringCheckGraderConfig(SingleGraderConfig):
    """OpenAI's string check: 1 if the comparison holds, else 0."""

    judges_format: ClassVar[bool] = False
    type: Literal["string_check"]
    name: str = "string_check"
    input: Template = Field(description="The text to judge, e.g. {{ sample.output_text }}.")
    reference: Template = Field(description="What it is compared with, e.g. {{ item.gt_answer }}.")
    operation: Literal["eq", "ne", "like", "ilike"] = Field(
        description="eq and ne compare whole texts; like and ilike (any case) ask whether input contains reference."
    )

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input, self.reference),
            references=(self.reference,),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=True,
            recognition=Recognition.MUST if self.operation != "ne" and is_output_text(self.input) else Recognition.MAY,
            why_untried="it asks that the answer is not the reference" if self.operation == "ne" else "",
            tags=(),
            trivial=(),
            is_exact=True,
            passing_score=None,
        )

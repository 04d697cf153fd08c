"""A number in the answer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import INPUT, REFERENCE, UNITS
from verifine.config.graders.schema import Template
from verifine.config.graders.template import is_output_text
from verifine.config.graders.traits import GraderTraits, Recognition


class NumberGraderConfig(SingleGraderConfig):
    """1 if a number in the answer is the right one, within a tolerance, else 0."""

    judges_format: ClassVar[bool] = False
    type: Literal["number"]
    name: str = "number"
    input: Template = INPUT
    reference: Template = REFERENCE
    take: Literal["whole", "last"] = Field(
        default="last", description="whole: the text is the number and nothing else; last: the last number in it."
    )
    tolerance: float = Field(default=0.0, ge=0, description="Largest accepted difference.")
    relative_tolerance: float = Field(
        default=0.0, ge=0, description="The same as a share of the reference; the larger of the two counts."
    )
    units: tuple[str, ...] = UNITS

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

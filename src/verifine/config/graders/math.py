"""A mathematical answer."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import INPUT, REFERENCE
from verifine.config.graders.schema import Share, Template
from verifine.config.graders.template import is_output_text
from verifine.config.graders.traits import GraderTraits, Recognition


class MathGraderConfig(SingleGraderConfig):
    r"""Judges a mathematical answer by its value: 1/2, 0.5 and \frac{1}{2} are the same.

    The score is `format_weight` for the format plus the rest for a right answer in the right format.
    """

    judges_format: ClassVar[bool] = True
    type: Literal["math"]
    name: str = "math"
    input: Template = INPUT
    reference: Template = REFERENCE
    answer_in: Literal["boxed", "answer", "think_answer", "any"] = Field(
        default="any",
        description="Where the answer stands, which is the format. boxed: the last `\\boxed{}`; answer: one pair of "
        "`<answer>` tags at the end; think_answer: one pair of `<think>`, then one pair of `<answer>` tags at the end; "
        "any: the last `\\boxed{}`, else the `<answer>` tags, else the last line.",
    )
    format_weight: Share = Field(default=0.0, description="The part of the score the format alone earns.")
    text_match_score: Share = Field(
        default=1.0,
        description="What an answer earns, as a share of a right one, that equals the reference as text but cannot "
        "be read as mathematics.",
    )
    timeout_s: float = Field(default=3.0, gt=0, le=60, description="Seconds one comparison may take.")

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input, self.reference),
            references=(self.reference,),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=False,
            recognition=Recognition.MUST if is_output_text(self.input) else Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=True,
            passing_score=None,
        )

"""What stands inside `<answer>...</answer>`, and whether it is right."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import REFERENCE, UNITS
from verifine.config.graders.schema import Share, Template
from verifine.config.graders.traits import GraderTraits, Recognition


class AnswerGraderConfig(SingleGraderConfig):
    """Judges what stands inside `<answer>...</answer>`: format, and whether the answer is right.

    The format is right when the text holds exactly one pair of tags and ends with it; blanks and end-of-turn markers
    behind it do not count. The score is `format_weight` for the format plus the rest for a right answer in the right
    format, so it is in [0, 1].
    """

    judges_format: ClassVar[bool] = True
    type: Literal["answer"]
    name: str = "answer"
    reference: Template = REFERENCE
    compare: Literal["exact", "number", "countdown"] = Field(
        default="exact",
        description="exact compares texts without outer blanks; number compares values within `tolerance`; countdown "
        "wants an expression that uses each of the item's `numbers` exactly once and has the value of `reference`.",
    )
    tolerance: float = Field(default=0.0, ge=0, description="Largest difference that number and countdown accept.")
    units: tuple[str, ...] = UNITS
    tag: str = Field(default="answer", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="The name of the tag.")
    format_weight: Share = Field(default=0.1, description="The part of the score the format alone earns.")

    @property
    def traits(self) -> GraderTraits:
        is_countdown = self.compare == "countdown"
        return GraderTraits(
            templates=(self.reference, "{{ item.numbers }}") if is_countdown else (self.reference,),
            references=(self.reference,),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=True,
            recognition=Recognition.MAY if is_countdown else Recognition.MUST,
            why_untried="a row names the value that is wanted, not an expression that has it" if is_countdown else "",
            tags=((self.tag,),),
            trivial=(),
            is_exact=True,
            passing_score=None,
        )

"""The schema of graders: OpenAI's grader form, and our extensions in the same style.

A grader is chosen in the configuration, so its schema stands here, below the room that executes it
(`verifine.graders`). Texts may hold `{{ item.field }}` and `{{ sample.output_text }}`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Schema(BaseModel):
    """Strict at the border: an unknown field is an error, and a parsed value does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StringCheckGrader(Schema):
    """OpenAI's string check: 1 if the comparison holds, else 0."""

    type: Literal["string_check"]
    name: str = "string_check"
    input: str = Field(description="The text to judge, e.g. {{ sample.output_text }}.")
    reference: str = Field(description="What it is compared with, e.g. {{ item.gt_answer }}.")
    operation: Literal["eq", "ne", "like", "ilike"] = Field(
        description="eq and ne compare whole texts; like and ilike (any case) ask whether input contains reference."
    )


class PythonGrader(Schema):
    """OpenAI's Python grader: `source` defines `grade(sample: dict, item: dict) -> float`.

    It runs in a child process with a time limit. That is no sandbox: use source you trust.
    """

    type: Literal["python"]
    name: str = "python"
    source: str = Field(description="Python source that defines grade(sample, item) -> float.")
    image_tag: str | None = Field(default=None, description="OpenAI's runtime tag; accepted and ignored.")
    timeout_s: float = Field(default=5.0, gt=0, le=600, description="Seconds one call may take.")


class AnswerGrader(Schema):
    """Judges what stands inside `<answer>...</answer>`: format, and whether the answer is right.

    The format is right when the text holds exactly one pair of tags and ends with it. The score is
    `format_weight` for the format plus the rest for a right answer in the right format, so it is in [0, 1].
    """

    type: Literal["answer"]
    name: str = "answer"
    reference: str = Field(default="{{ item.gt_answer }}", description="The right answer.")
    compare: Literal["exact", "number", "countdown"] = Field(
        default="exact",
        description="exact compares texts without outer blanks; number compares values within `tolerance`; countdown "
        "wants an expression that uses each of the item's `numbers` exactly once and has the value of `reference`.",
    )
    tolerance: float = Field(default=0.0, ge=0, description="Largest difference that number and countdown accept.")
    tag: str = Field(default="answer", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="The name of the tag.")
    format_weight: float = Field(default=0.1, ge=0, le=1, description="The part of the score the format alone earns.")


class FormatGrader(Schema):
    """1 if the whole answer matches a regular expression, else 0."""

    type: Literal["format"]
    name: str = "format"
    pattern: str = Field(
        description="A Python regular expression that the whole answer must match; . matches newlines."
    )

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Self:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from error
        return self


SingleGrader = Annotated[
    StringCheckGrader | PythonGrader | AnswerGrader | FormatGrader,
    Field(discriminator="type"),
]
"""A grader that is not made of others."""


class WeightedGrader(Schema):
    """Several graders at once: the score is the sum of theirs, each times its weight.

    An answer is in the right format, or right, if all graders that judge that say so; one with a negative weight is a
    penalty and judges neither. An answer is unscorable if it is for any of them. The score that each one gave is
    logged as `rewards/<name>`.
    """

    type: Literal["weighted"]
    name: str = "weighted"
    graders: Mapping[str, SingleGrader] = Field(description="The graders, each under a name of its own.")
    weights: Mapping[str, float] = Field(
        description="What the score of each grader is multiplied with, by the same names. A negative weight takes "
        "away; with 0 the grader still judges format and answer, but adds nothing to the score."
    )

    @model_validator(mode="after")
    def _weights_fit_the_graders(self) -> Self:
        if not self.graders:
            raise ValueError("`graders` is empty; give it at least one grader")
        problems = [f"`weights.{name}` is missing" for name in self.graders if name not in self.weights]
        problems += [f"`weights.{name}` is unknown" for name in self.weights if name not in self.graders]
        if problems:
            raise ValueError(f"{' and '.join(problems)}; give each of {', '.join(self.graders)} a weight, and no other")
        return self


GraderConfig = Annotated[
    StringCheckGrader | PythonGrader | AnswerGrader | FormatGrader | WeightedGrader,
    Field(discriminator="type"),
]
"""Any grader, told apart by `type`."""


def judges_format(grader: GraderConfig) -> bool:
    """Whether it says of an answer that its format is right or wrong."""
    if isinstance(grader, WeightedGrader):
        return any(judges_format(each) for name, each in grader.graders.items() if grader.weights[name] >= 0)
    return isinstance(grader, AnswerGrader | FormatGrader)


GRADER_PRESETS: dict[str, GraderConfig] = {
    "answer_exact": AnswerGrader(type="answer", name="answer_exact", compare="exact"),
    "answer_number": AnswerGrader(type="answer", name="answer_number", compare="number"),
}
"""Graders by name, for `--grader NAME`; they read the right answer from the field `gt_answer`."""

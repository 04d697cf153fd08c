"""A Python program in the answer, and the row's tests."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.field_path import item_template, parse_field_path
from verifine.config.graders.schema import Share
from verifine.config.graders.traits import GraderTraits, Recognition


class CodeGraderConfig(SingleGraderConfig):
    """Runs the Python program in the answer on the row's test cases, in the sandbox.

    The program gets inputs and gives back outputs; they are compared outside, so it cannot forge a verdict. The score
    is `format_weight` for a code block plus the rest for passing.
    """

    judges_format: ClassVar[bool] = True
    type: Literal["code"]
    name: str = "code"
    tests: str = Field(
        default="test_cases",
        description="The row's field, or a path such as reward_model.ground_truth, with the test cases: "
        "{inputs: [...], outputs: [...]} or a list of {input, output}, which may be JSON text. They are standard input "
        "and output as texts, or with fn_name the arguments and results of that function.",
    )
    scoring: Literal["all", "share"] = Field(
        default="all", description="all: 1 if every test passes, else 0; share: the share of tests that pass."
    )
    format_weight: Share = Field(default=0.0, description="The part of the score that a code block alone earns.")
    timeout_s: float = Field(default=5.0, gt=0, le=600, description="Seconds one test may take.")
    memory_mb: int = Field(default=512, ge=64, le=65536, description="MiB one test may use.")

    @field_validator("tests")
    @classmethod
    def _tests_are_a_path(cls, value: str) -> str:
        if "{{" in value:
            raise ValueError("`tests` is the name of a field or a path; write reward_model.ground_truth without braces")
        return value

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(item_template(parse_field_path(self.tests)),),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=False,
            passing_score=None,
        )

"""Graders made of graders, and the union of all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from verifine.config.graders.extensions import (
    AnswerGraderConfig,
    ChoiceGraderConfig,
    CodeGraderConfig,
    EndpointGraderConfig,
    FormatGraderConfig,
    JsonSchemaGraderConfig,
    MathGraderConfig,
    NumberGraderConfig,
)
from verifine.config.graders.formula import FUNCTIONS, Node, names_in, parse_formula
from verifine.config.graders.openai import (
    LabelModelGraderConfig,
    PythonGraderConfig,
    ScoreModelGraderConfig,
    StringCheckGraderConfig,
    TextSimilarityGraderConfig,
)
from verifine.config.graders.schema import Schema

_Single = (
    StringCheckGraderConfig
    | TextSimilarityGraderConfig
    | PythonGraderConfig
    | ScoreModelGraderConfig
    | LabelModelGraderConfig
    | AnswerGraderConfig
    | MathGraderConfig
    | CodeGraderConfig
    | NumberGraderConfig
    | ChoiceGraderConfig
    | FormatGraderConfig
    | JsonSchemaGraderConfig
    | EndpointGraderConfig
)

SingleGrader = Annotated[_Single, Field(discriminator="type")]
"""A grader that is not made of others."""


class MultiGraderConfig(Schema):
    """OpenAI's multi grader: a formula of the scores of several graders.

    `graders` may also be a list, whose graders go by their names.
    """

    type: Literal["multi"]
    name: str = "multi"
    graders: Mapping[str, SingleGrader] = Field(description="The graders, each under the name the formula uses.")
    calculate_output: str = Field(
        description="The score, from numbers, the graders' names, + - * / ^, parentheses, and the functions min, max, "
        "abs, floor, ceil, exp, sqrt and log."
    )

    @model_validator(mode="before")
    @classmethod
    def _graders_by_name(cls, value: Any) -> Any:
        graders = value.get("graders") if isinstance(value, dict) else None
        if isinstance(graders, dict) and isinstance(graders.get("type"), str):
            graders = [graders]  # a single grader, as the types of OpenAI's package have it
        if not isinstance(graders, list):
            return value
        names = [grader.get("name") for grader in graders if isinstance(grader, dict)]
        if len(names) < len(graders) or not all(isinstance(name, str) for name in names):
            raise ValueError("`graders` is a list, so each grader in it needs a `name` for the formula")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"`graders` has two graders with the name {twice!r}; the formula could not tell them apart"
            )
        return {**value, "graders": dict(zip(names, graders, strict=True))}

    @model_validator(mode="after")
    def _names_can_stand_in_a_formula(self) -> Self:
        if not self.graders:
            raise ValueError("`graders` is empty; give it at least one grader")
        for name in self.graders:
            if not (name.isidentifier() and name.isascii()) or name in FUNCTIONS:
                raise ValueError(
                    f"`graders` has the name {name!r}, which cannot stand in a formula; take letters, digits and _, "
                    "beginning with a letter, and no function's name"
                )
        return self

    @model_validator(mode="after")
    def _formula_is_one(self) -> Self:
        try:
            unknown = names_in(self.formula) - set(self.graders)
        except ValueError as error:
            raise ValueError(f"`calculate_output`: {error}") from error
        if unknown:
            known = ", ".join(self.graders)
            raise ValueError(f"`calculate_output` reads {', '.join(sorted(unknown))}, but the graders are {known}")
        return self

    @cached_property
    def formula(self) -> Node:
        """`calculate_output`, parsed."""
        return parse_formula(self.calculate_output)


class WeightedGraderConfig(Schema):
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


AnyGrader = _Single | MultiGraderConfig | WeightedGraderConfig


def _stands_alone(grader: AnyGrader) -> AnyGrader:
    if isinstance(grader, LabelModelGraderConfig):
        raise ValueError("`type` label_model cannot stand alone; put it inside a multi grader")  # noqa: TRY004
    return grader


GraderConfig = Annotated[AnyGrader, Field(discriminator="type"), AfterValidator(_stands_alone)]
"""Any grader, told apart by `type`."""


def passing_score(grader: AnyGrader) -> float | None:
    """The score from which an answer passes, by the grader's own `pass_threshold`; None: it has none."""
    return grader.pass_threshold if isinstance(grader, TextSimilarityGraderConfig | ScoreModelGraderConfig) else None


def judges_format(grader: GraderConfig) -> bool:
    """Whether it says of an answer that its format is right or wrong."""
    if isinstance(grader, WeightedGraderConfig):
        return any(judges_format(each) for name, each in grader.graders.items() if grader.weights[name] >= 0)
    if isinstance(grader, MultiGraderConfig):
        return any(judges_format(each) for each in grader.graders.values())
    return isinstance(
        grader,
        AnswerGraderConfig
        | FormatGraderConfig
        | MathGraderConfig
        | CodeGraderConfig
        | ChoiceGraderConfig
        | JsonSchemaGraderConfig,
    )

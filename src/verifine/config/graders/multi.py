"""A formula of the scores of several graders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import BaseGraderConfig
from verifine.config.graders.expression import Node
from verifine.config.graders.formula import FUNCTIONS, names_in, parse_formula
from verifine.config.graders.single import SingleGrader
from verifine.config.graders.traits import GraderTraits, Recognition, combine_traits


class MultiGraderConfig(BaseGraderConfig):
    """OpenAI's multi grader: a formula of the scores of several graders.

    `graders` may also be a list, in which each grader has a `name`.
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

    @property
    def traits(self) -> GraderTraits:
        parts = [grader.traits for grader in self.graders.values()]
        judges_format = any(part.judges_format for part in parts)
        # A formula may turn the scores around.
        return combine_traits(parts, judges_format=judges_format, recognition=Recognition.MAY)

"""The weighted sum of the scores of several graders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import BaseGraderConfig
from verifine.config.graders.single import SingleGrader
from verifine.config.graders.traits import GraderTraits, Recognition, combine_traits


class WeightedGraderConfig(BaseGraderConfig):
    """Several graders at once: the score is the sum of theirs, each times its weight.

    An answer is in the right format, or right, if all graders that judge that say so; one with a negative weight is a
    penalty and judges neither. An answer is unscorable if it is for any of them. Each grader's score is
    logged as `rewards/<name>`.
    """

    type: Literal["weighted"]
    name: str = "weighted"
    graders: Mapping[str, SingleGrader] = Field(description="The graders, each under a name of its own.")
    weights: Mapping[str, float] = Field(
        description="The factor of each grader's score, by the same names. A negative weight is a "
        "penalty; with 0 the grader still judges format and answer, but adds nothing to the score."
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

    @property
    def traits(self) -> GraderTraits:
        parts = {name: grader.traits for name, grader in self.graders.items()}
        return combine_traits(
            list(parts.values()),
            judges_format=any(part.judges_format for name, part in parts.items() if self.weights[name] >= 0),
            recognition=self._recognition({part.recognition for part in parts.values()}),
        )

    def _recognition(self, found: set[Recognition]) -> Recognition:
        """A negative weight may turn the scores around; else the least certain part decides."""
        if min(self.weights.values()) < 0 or Recognition.MAY in found:
            return Recognition.MAY
        return Recognition.MUST if Recognition.MUST in found else Recognition.FORM

"""Every grader type."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from verifine.config.graders.label_model import LabelModelGraderConfig
from verifine.config.graders.multi import MultiGraderConfig
from verifine.config.graders.single import AnySingleGrader
from verifine.config.graders.weighted import WeightedGraderConfig

AnyGrader = AnySingleGrader | MultiGraderConfig | WeightedGraderConfig


def _stands_alone(grader: AnyGrader) -> AnyGrader:
    if isinstance(grader, LabelModelGraderConfig):
        raise ValueError("`type` label_model cannot stand alone; put it inside a multi grader")  # noqa: TRY004
    return grader


GraderConfig = Annotated[AnyGrader, Field(discriminator="type"), AfterValidator(_stands_alone)]
"""Any grader, told apart by `type`."""

"""What every grader type has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from verifine.config.graders.schema import Schema
from verifine.config.graders.traits import GraderTraits


class BaseGraderConfig(Schema, ABC):
    """The settings of a grader type."""

    @property
    @abstractmethod
    def traits(self) -> GraderTraits:
        """What can be said of this grader without running it."""


class SingleGraderConfig(BaseGraderConfig, ABC):
    """The settings of a grader type that is not made of other graders."""

    judges_format: ClassVar[bool]
    """Whether it says of an answer that its format is right or wrong: the same for every grader of the type."""

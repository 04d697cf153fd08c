"""What every grader type has."""

from __future__ import annotations

from abc import ABC, abstractmethod

from verifine.config.graders.schema import Schema
from verifine.config.graders.traits import GraderTraits


class BaseGraderConfig(Schema, ABC):
    """The settings of a grader type."""

    @property
    @abstractmethod
    def traits(self) -> GraderTraits:
        """What can be said of this grader without running it."""

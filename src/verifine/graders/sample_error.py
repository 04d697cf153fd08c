"""Why one sample cannot be graded."""

from __future__ import annotations

from verifine.errors import GraderError
from verifine.types import Grade, GradeFault


class SampleError(GraderError):
    """A sample that cannot be graded; the others can."""

    def __init__(self, message: str, fault: GradeFault = GradeFault.OTHER) -> None:
        super().__init__(message)
        self.fault = fault

    def grade(self) -> Grade:
        """The unscorable grade for it."""
        return Grade.unscorable(str(self), self.fault)

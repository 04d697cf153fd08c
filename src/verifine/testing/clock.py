"""A clock that a test sets."""

from __future__ import annotations


class ManualClock:
    """Tells the same time until it is told another."""

    def __init__(self, time: float = 1_800_000_000.0) -> None:
        self.time = time
        """Seconds since 1970."""

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

"""How the learning rate changes over a run, after the warm-up."""

from __future__ import annotations

from dataclasses import dataclass

from verifine.config import OptimConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A learning rate that falls evenly from all of it to a share of it."""

    final_share: float = 1.0
    """1: it stays as it is."""

    @classmethod
    def of(cls, config: OptimConfig) -> Schedule:
        return cls(final_share=config.final_share) if config.schedule == "linear" else CONSTANT

    def factor(self, done: float) -> float:
        """What the learning rate is multiplied by when the share `done` of the run is over, in steps or in time."""
        return 1 - (1 - self.final_share) * min(max(done, 0.0), 1.0)


CONSTANT = Schedule()

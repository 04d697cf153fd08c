"""How long the stages of a step take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up the seconds spent in named stages."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._stages = dict.fromkeys(("generate", "grade", "estimate", "update"), 0.0)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = self._clock()
        yield
        self._stages[stage] += self._clock() - start

    def rate(self, stage: str, amount: float) -> float:
        """`amount` for each second of a stage; 0 if no time could be measured."""
        seconds = self._stages[stage]
        return amount / seconds if seconds > 0 else 0.0

    def metrics(self) -> dict[str, float]:
        timings = {f"timing/{stage}_s": seconds for stage, seconds in self._stages.items()}
        return {"step_time": self._clock() - self._start, **timings}

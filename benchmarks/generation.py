"""What rollout engines are asked to do in benchmarks/engines.py, and how it is timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

PASSES = 3
"""That count, after one that warms up."""
SPECIAL_TOKENS = 20
"""Prompts keep away from the first tokens of a vocabulary, which mean something to chat templates."""

Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What every engine is asked to do."""

    folder: Path
    rows: tuple[int, ...]
    group_size: int
    prompt_tokens: int
    new_tokens: int
    precision: str
    """Of native and hf."""
    vocabulary: int
    """Prompts are of smaller tokens than this."""
    vllm_python: Path | None = None
    """None: the environment that this benchmark makes."""

    def passes(self, rows: int) -> list[Prompts]:
        """The prompts of each pass, the one that warms up included."""
        random = Random(rows)
        tokens = range(min(SPECIAL_TOKENS, self.vocabulary - 1), self.vocabulary)
        return [
            [random.choices(tokens, k=self.prompt_tokens) for _ in range(rows // self.group_size)]
            for _ in range(1 + PASSES)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What an engine reached, in the median of its passes."""

    engine: str
    settings: str
    rows: int
    tokens_per_s: float


def time_passes(generate: Callable[[Prompts], int], job: Job, rows: int) -> list[float]:
    """Tokens a second of the passes that count. `generate` returns how many tokens it wrote."""
    rates = []
    for prompts in job.passes(rows):
        begun = time.perf_counter()
        written = generate(prompts)
        rates.append(written / (time.perf_counter() - begun))
        assert written == rows * job.new_tokens, (written, rows, job.new_tokens)
    return rates[1:]


def median_speed(engine: str, settings: str, rows: int, rates: Sequence[float]) -> Speed:
    return Speed(engine=engine, settings=settings, rows=rows, tokens_per_s=statistics.median(rates))

"""How long a sample was graded."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from verifine.types import Grade, Sample


def timed(grade: Callable[[Sample], Grade], sample: Sample) -> Grade:
    """The sample's grade, with the seconds it took."""
    started = time.perf_counter()
    given = grade(sample)
    return replace(given, seconds=time.perf_counter() - started)

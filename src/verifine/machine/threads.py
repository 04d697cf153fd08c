"""Who gets how many threads: the one place where that is decided."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from verifine.machine.cores import Cores, read_cores

CHOICES = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""By which a user says how many threads compute, in the order in which torch listens to them."""

MOST_GRADING = 8
"""Each is a process with memory of its own."""
MOST_DATA = 8
"""Texts of a step are too few to gain from more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """The threads of a run. Its parts take turns, so each may have all cores."""

    compute: int
    """Of torch: the engine samples, then the learner learns."""
    grading: int
    """Processes of a sandbox, of one thread each: they grade while torch waits."""
    data: int
    """Of tokenizers and readers of tables."""

    def __str__(self) -> str:
        return f"{self.compute} compute, {self.grading} grading, {self.data} data"


def share_out(cores: Cores, environment: Mapping[str, str]) -> Threads:
    """As many as there are cores for, or fewer where the user chose so in `environment`; more would be slower.

    The hyper-threads of a core share its arithmetic units, so it counts once for `compute`, as it does in torch.
    """
    most = min(_find_choice(environment) or cores.available, cores.available)
    return Threads(
        compute=min(most, cores.physical),
        grading=min(cores.available, MOST_GRADING),
        data=min(most, MOST_DATA),
    )


def decide_threads() -> Threads:
    """Those of this process, here and now."""
    return share_out(read_cores(), os.environ)


def _find_choice(environment: Mapping[str, str]) -> int | None:
    for name in CHOICES:
        outermost = environment.get(name, "").partition(",")[0].strip()
        if outermost.isdecimal() and int(outermost) > 0:
            return int(outermost)
    return None

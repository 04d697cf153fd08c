"""How many threads each part of a run gets: the one place that decides it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from verifine.machine.cores import Cores, read_cores

CHOICES = ("MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Variables with which a user limits compute threads, in torch's order of precedence."""

MAX_GRADING = 8
"""Each is a process with memory of its own."""
MAX_DATA = 8
"""A step has too few texts to gain from more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """The threads of a run. Its parts take turns, so each may use all cores."""

    compute: int
    """Threads of torch, for the engine and then the learner."""
    grading: int
    """Sandbox processes with one thread each; they grade while torch waits."""
    data: int
    """Threads of tokenizers and table readers."""

    def __str__(self) -> str:
        return f"{self.compute} compute, {self.grading} grading, {self.data} data"


def share_out(cores: Cores, environment: Mapping[str, str]) -> Threads:
    """As many threads as there are cores, or fewer if `environment` says so; more would be slower.

    Hyper-threads of a core share its arithmetic units, so a core counts once for `compute`, as in torch.
    """
    wanted = min(_find_choice(environment) or cores.available, cores.available)
    return Threads(
        compute=min(wanted, cores.physical),
        grading=min(cores.available, MAX_GRADING),
        data=min(wanted, MAX_DATA),
    )


def decide_threads() -> Threads:
    """The threads of this process, on this machine."""
    return share_out(read_cores(), os.environ)


def _find_choice(environment: Mapping[str, str]) -> int | None:
    for name in CHOICES:
        outermost = environment.get(name, "").partition(",")[0].strip()
        if outermost.isdecimal() and int(outermost) > 0:
            return int(outermost)
    return None

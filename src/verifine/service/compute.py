"""How the cores of a machine are shared by what computes there at the same time, and the environment that says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.machine.cores import Cores
from verifine.machine.threads import share_out
from verifine.machine.waiting import wait_briefly

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VERIFINE_HOME", "HF_HOME", "HF_HUB_OFFLINE", "PYTHONPATH")
"""The variables that processes of the service get from its own environment: none of them holds a secret."""

THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeShares:
    """Threads of torch, for each process."""

    job: int
    """All that there are. The last bits of results depend on the number, so it is not changed by who else computes."""
    endpoint: int
    """A loaded model that answers: half of them, so that a job goes on beside it."""
    child: int
    """A process that looks at data, grades or tries something out: one."""


def share_compute(cores: Cores, environment: Mapping[str, str]) -> ComputeShares:
    """`environment` may limit all of them, as a user limits a run."""
    threads = share_out(cores, environment).compute
    return ComputeShares(job=threads, endpoint=max(1, threads // 2), child=1)


def build_environment(environment: Mapping[str, str], threads: int) -> dict[str, str]:
    """The whole environment of a process with so many threads: threads that wait sleep soon, so that others compute."""
    built = {name: environment[name] for name in PASSED_ON if name in environment}
    built[THREADS] = str(threads)
    wait_briefly(built)
    return built

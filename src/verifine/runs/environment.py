"""What a run ran on, so that its numbers can be understood later."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import TypeAdapter

from verifine.machine.cores import read_cores
from verifine.machine.disk import LOCAL_DISK, Disk
from verifine.machine.memory import read_memory
from verifine.machine.threads import Threads, share_out
from verifine.runs.directory import write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A machine and the programs on it."""

    python: str
    verifine: str | None
    """A version; None: not installed as a package. The same for the others."""
    torch: str | None
    transformers: str | None
    platform: str
    cpu: str
    cores: int
    """How many threads this process can run at once."""
    memory_bytes: int
    """The memory of the machine, or of the container that the process is in."""
    core_quota: float | None = None
    """How many cores' worth of time the container allows; None: no limit."""
    threads: Threads | None = None
    """None: not known."""
    own_grader: bool = False
    """Whether the program that trained brought the grader, so that the config does not name it."""
    own_advantages: str | None = None
    """The name of the function that the program brought in place of the algorithm's advantages; None: there is none."""
    unsafe_grader_exec: bool = False
    """Whether graders' code ran outside the sandbox, by the owner's word."""

    @property
    def brought(self) -> tuple[str, ...]:
        """The arguments of `train` with which the program that trained brought code of its own."""
        given = {"grader": self.own_grader, "advantages": self.own_advantages is not None}
        return tuple(name for name, is_given in given.items() if is_given)


def describe_environment() -> Environment:
    """Look at this machine. Nothing heavy is imported for it."""
    cores = read_cores()
    return Environment(
        python=platform.python_version(),
        verifine=_version_of("verifine"),
        torch=_version_of("torch"),
        transformers=_version_of("transformers"),
        platform=platform.platform(),
        cpu=_cpu_name(),
        cores=cores.available,
        memory_bytes=read_memory().total,
        core_quota=cores.quota,
        threads=share_out(cores, os.environ),
    )


def write_environment(path: Path, environment: Environment, disk: Disk = LOCAL_DISK) -> None:
    write_json(path, asdict(environment), disk)


def read_environment(path: Path) -> Environment:
    return TypeAdapter(Environment).validate_json(path.read_bytes())


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_name() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

"""What a run ran on, so that its numbers can be understood later."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from pydantic import TypeAdapter

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
    """Logical cores this process may use."""
    memory_bytes: int
    own_grader: bool = False
    """Whether the program that trained brought the grader, so that the config does not name it."""
    unsafe_grader_exec: bool = False
    """Whether graders' code ran outside the sandbox, by the owner's word."""


def describe_environment() -> Environment:
    """Look at this machine. Nothing heavy is imported for it."""
    return Environment(
        python=platform.python_version(),
        verifine=_version_of("verifine"),
        torch=_version_of("torch"),
        transformers=_version_of("transformers"),
        platform=platform.platform(),
        cpu=_cpu_name(),
        cores=_usable_cores(),
        memory_bytes=psutil.virtual_memory().total,
    )


def write_environment(path: Path, environment: Environment) -> None:
    write_json(path, asdict(environment))


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


def _usable_cores() -> int:
    if sys.platform == "linux":  # a container may be given fewer cores than the machine has
        return len(os.sched_getaffinity(0))
    return psutil.cpu_count() or 1

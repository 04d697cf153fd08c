"""The checks of `verifine doctor` on this machine, and their messages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from verifine.errors import ModelError
from verifine.graders.sandbox import Level, LevelReport, find_level
from verifine.graders.sandbox.selftest import ATTACKS
from verifine.insights.outcome import pluralize
from verifine.machine.memory import read_memory
from verifine.runs.environment import Environment, describe_environment
from verifine.types import Json

NEEDED_BYTES = 1 << 30
"""Less free disk than this is too little: the smallest model of the catalogue takes 0.3 GB, and a run of it 0.5 GB."""

GIB = 1 << 30


class State(StrEnum):
    """The result of a check."""

    OK = "ok"
    NOTE = "note"
    """Good to know; Verifine works."""
    SKIPPED = "skipped"
    """Not checked."""
    MISSING = "missing"
    """Verifine needs it and it is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was checked."""

    name: str
    state: State
    found: str
    hints: tuple[str, ...] = ()
    """What to do about it."""


def check_machine(*, online: bool) -> Iterator[Check]:
    """Every check, one by one, since some take a second. The network is not used unless `online`."""
    environment = describe_environment()
    yield from check_versions(environment)
    yield from check_processor(environment)
    memory = read_memory()
    found = f"{memory.total / GIB:.1f} GiB, {memory.free / GIB:.1f} GiB free"
    yield Check(name="memory", state=State.OK, found=found)
    yield check_disk("disk here", Path.cwd())
    yield from _check_with_torch(online=online)
    yield check_sandbox(find_level())
    yield check_extras({name: _version_of(name) for name in ("datasets", "pyarrow")})


def check_versions(environment: Environment) -> Iterator[Check]:
    """The versions of Python and the required packages."""
    yield Check(name="Python", state=State.OK, found=environment.python)
    packages = {
        "Verifine": (environment.verifine, "install it, such as with `pip install -c constraints.txt .` in its folder"),
        "torch": (environment.torch, "pip install torch; see https://pytorch.org for the build that fits your GPU"),
        "transformers": (environment.transformers, "pip install transformers"),
    }
    for name, (found, hint) in packages.items():
        if found is None:
            yield Check(name=name, state=State.MISSING, found="not installed", hints=(hint,))
        else:
            yield Check(name=name, state=State.OK, found=found)


def check_processor(environment: Environment) -> Iterator[Check]:
    """The processor's cores, and how many threads each part of a run gets."""
    quota = "" if environment.core_quota is None else f" (this container may use {environment.core_quota:g})"
    found = f"{pluralize(environment.cores, 'core')}{quota}, {environment.cpu}"
    yield Check(name="processor", state=State.OK, found=found)
    if environment.threads is not None:
        yield Check(name="threads", state=State.OK, found=str(environment.threads))


def check_disk(name: str, folder: Path) -> Check:
    """The disk of `folder`, which may not exist yet."""
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / GIB:.1f} GiB free at {folder}"
    if not os.access(existing, os.W_OK):
        hint = "use a folder that you can write to, or set VERIFINE_HOME to one"
        return Check(name=name, state=State.MISSING, found=f"{folder} cannot be written to", hints=(hint,))
    if free < NEEDED_BYTES:
        return Check(name=name, state=State.MISSING, found=found, hints=("free at least 1 GiB",))
    return Check(name=name, state=State.OK, found=found)


def check_sandbox(report: LevelReport) -> Check:
    """The sandbox for graders' code, and for answers that are code."""
    if report.level is None:
        found = "none: graders that run code (python, code, math) are refused"
        return Check(name="sandbox", state=State.MISSING, found=found, hints=report.missing)
    details = ", ".join(f"{name} {value}" for name, value in report.details.items())
    found = f"{report.level.value} ({details}); the {len(ATTACKS)} attacks of its self-test were refused"
    state = State.OK if report.level is Level.FULL else State.NOTE
    return Check(name="sandbox", state=state, found=found, hints=report.missing)


def check_extras(versions: dict[str, str | None]) -> Check:
    """Packages that only some data formats need."""
    found = ", ".join(f"{name} {number or 'not installed'}" for name, number in versions.items())
    if None not in versions.values():
        return Check(name="data extras", state=State.OK, found=found)
    hint = "for Parquet files and datasets of the hub: pip install 'verifine[data]'"
    return Check(name="data extras", state=State.NOTE, found=found, hints=(hint,))


def _check_with_torch(*, online: bool) -> Iterator[Check]:
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: one of its libraries cannot be loaded
        hint = "install torch again; accelerator, model cache and hub were not checked"
        yield Check(name="torch import", state=State.MISSING, found=f"fails: {error}", hints=(hint,))
        return
    from verifine.models.provision.cache import cache_folder

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        others = f", and {torch.cuda.device_count() - 1} more" if torch.cuda.device_count() > 1 else ""
        found = f"{torch.cuda.get_device_name(0)} with {memory:.0f} GiB{others}"
        yield Check(name="accelerator", state=State.OK, found=found)
    elif Path("/dev/nvidia0").exists():
        hint = "install the build of torch for your driver's CUDA version: see https://pytorch.org"
        found = f"there is an NVIDIA GPU, but torch {torch.__version__} cannot use it"
        yield Check(name="accelerator", state=State.NOTE, found=found, hints=(hint,))
    else:
        found = "none: models train on the CPU, which is enough for the quickstart"
        yield Check(name="accelerator", state=State.NOTE, found=found)
    yield _check_kernels()
    yield check_disk("model cache", cache_folder())
    yield _check_hub(online=online)


def _check_kernels() -> Check:
    """Whether the engine has kernels of its own on the processor."""
    from verifine.models.network.compiled.kernels import find_kernels

    if find_kernels() is not None:
        return Check(name="kernels", state=State.OK, found="compiled for this processor")
    hint = (
        "install a C++ compiler, such as with `apt-get install g++`: answers are written faster on the processor then"
    )
    return Check(name="kernels", state=State.NOTE, found="torch's own, since none could be compiled", hints=(hint,))


def _check_hub(*, online: bool) -> Check:
    """Whether models can be downloaded; a model in a folder, and the packaged one, do not need the hub."""
    from verifine.models.provision.catalogue import CATALOGUE
    from verifine.models.provision.hub import FIRST_ANSWER_S, Hub

    hub = Hub()
    if hub.is_offline:
        return Check(name="model hub", state=State.SKIPPED, found="not used, since HF_HUB_OFFLINE is set")
    if not online:
        return Check(name="model hub", state=State.SKIPPED, found="not checked; --online checks it")
    try:
        hub.find(next(iter(CATALOGUE.values())).hub_id, None, FIRST_ANSWER_S)
    except ModelError as error:
        hint = "give models as folders, or set HF_ENDPOINT to a mirror; SmolLM2-135M-Instruct needs PyPI, pico nothing"
        return Check(name="model hub", state=State.NOTE, found=str(error).rstrip("."), hints=(hint,))
    return Check(name="model hub", state=State.OK, found=f"{hub.api.endpoint} answers")


def machine_numbers(checks: list[Check]) -> dict[str, Json]:
    """For programs."""
    return {
        "is_ready": all(check.state is not State.MISSING for check in checks),
        "checks": [asdict(check) | {"hints": list(check.hints)} for check in checks],
    }


def _version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None

"""What a job takes of the machine, and whether the machine has it: estimated from its config, without torch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from verifine.config import LoraConfig, RunConfig
from verifine.config.memory import ADAMW_FLOATS, FLOAT_BYTES, MemoryNeeds, ModelShape, Workload, least_bytes
from verifine.launch.inputs import MAX_NEW_TOKENS
from verifine.machine.disk import existing_parent
from verifine.machine.memory import read_memory, read_unused
from verifine.models.memory.folder_shape import shape_of_folder
from verifine.models.provision.catalogue import find_entry
from verifine.models.provision.shipped import find_shipped
from verifine.preflight.memory import describe_bytes
from verifine.runs.directory import RunDirectory
from verifine.service.jobs.job import Job

ACCELERATOR = Path("/dev/nvidiactl")
"""Where it is, a model is trained in another memory than the main one; `verifine train` looks at that itself."""


NO_MEMORY = "insufficient_memory"
"""The code of a shortage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNeeds:
    """In bytes. Each is the least that the job gets by with."""

    memory: int
    disk: int
    """The checkpoints that are kept, one that is being written, and the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRoom:
    """What the machine has, in bytes: at all, and at this moment."""

    memory: int
    free_memory: int
    disk: int
    free_disk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortage:
    """Why a job cannot start."""

    code: str
    message: str
    is_final: bool
    """Whether it can never start here."""


ReadRoom = Callable[[Path], MachineRoom]
"""The room for something in a folder."""


def read_room(folder: Path) -> MachineRoom:
    """The room on this machine."""
    disk = shutil.disk_usage(existing_parent(folder))
    return MachineRoom(memory=read_memory().total, free_memory=read_unused(), disk=disk.total, free_disk=disk.free)


def estimate_needs(config: RunConfig, *, in_main_memory: bool | None = None) -> JobNeeds | None:
    """None: nothing is known of the model, as it has not been fetched yet.

    `in_main_memory`: whether the model is trained there; None: unless the machine has an accelerator.
    """
    shape = _find_shape(config.model.name, config.model.lora)
    if shape is None:
        return None
    answer = config.sampling.max_new_tokens or MAX_NEW_TOKENS
    needs = MemoryNeeds.of(config, shape, precision="float32", max_new_tokens=answer)
    is_main = not ACCELERATOR.exists() if in_main_memory is None else in_main_memory
    checkpoint = FLOAT_BYTES * (1 + ADAMW_FLOATS) * shape.trainable
    kept = config.run.keep_last + config.run.keep_best + 1
    return JobNeeds(
        memory=least_bytes(needs, Workload(prompt=1, answer=answer), is_main=True) if is_main else 0,
        disk=kept * checkpoint + FLOAT_BYTES * shape.parameters,
    )


def find_shortage(needs: JobNeeds, room: MachineRoom, held_disk: int = 0) -> Shortage | None:
    """What is missing, the memory first; `held_disk` is what the job has on the disk already. None: it fits."""
    missing = _missing("memory", needs.memory, room.memory, room.free_memory)
    return missing or _missing("disk", needs.disk, room.disk, room.free_disk, held_disk)


def find_job_shortage(job: Job, run: RunDirectory, read: ReadRoom = read_room) -> Shortage | None:
    """What the machine lacks for a job that is to start now."""
    needs = estimate_needs(job.run_config())
    return None if needs is None else find_shortage(needs, read(run.path), held_bytes(run))


def held_bytes(run: RunDirectory) -> int:
    """What the checkpoints and the model of a run take on the disk."""
    files = (path for folder in (run.checkpoints, run.model) for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def _missing(what: str, needed: int, whole: int, free: int, held: int = 0) -> Shortage | None:
    code = f"insufficient_{what}"
    takes = f"the job takes {describe_bytes(needed)} of {what} at least"
    if needed > whole:
        hints = {
            "memory": 'take a smaller model, or train adapters ("verifine.model.lora")',
            "disk": 'take a smaller model, or keep fewer checkpoints ("verifine.run.keep_last")',
        }
        message = f"{takes}, and this machine has {describe_bytes(whole)}; {hints[what]}"
        return Shortage(code=code, message=message, is_final=True)
    if needed - held > free:
        message = f"{takes}, and {describe_bytes(free + held)} are free now"
        return Shortage(code=code, message=message, is_final=False)
    return None


def _find_shape(name: str, lora: LoraConfig | None) -> ModelShape | None:
    folder, shipped = Path(name).expanduser(), find_shipped(name)
    if shipped is not None and not folder.is_dir():
        folder = shipped.folder
    if folder.is_dir():
        return shape_of_folder(folder, lora)
    entry = find_entry(name)
    return None if entry is None else entry.sizes.shape(lora)

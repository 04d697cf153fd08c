"""The checkpoints of a run: `checkpoints/step-000010/`, all complete and verified.

A checkpoint is written under a temporary name, first its files and then the manifest, each of them to stable storage,
and is then renamed. So a folder with a final name is complete even if the process or the machine stops at any moment,
and a folder with a temporary name can be deleted. If a disk changes or loses what was written, `newest` detects that
and falls back to the checkpoint before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from verifine.checkpoints.manifest import MANIFEST, VERSION, HashingWriter, Manifest, verify
from verifine.checkpoints.names import checkpoint_folder, find_checkpoint_steps
from verifine.checkpoints.tensors import TensorSnapshot, read_tensors
from verifine.errors import CheckpointError, DiskError
from verifine.machine.disk import Disk, draft_of, put_in_place
from verifine.types import Json

SUFFIX = ".safetensors"
FACTS = "state.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run is resumed from."""

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Json]
    """Everything that is not a tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A checkpoint that is to be written."""

    step: int
    tensors: Sequence[TensorSnapshot]
    """One for each file."""
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestCheckpoint:
    """The newest undamaged checkpoint of a run, and which newer ones were skipped."""

    checkpoint: Checkpoint | None
    """None: there is no undamaged checkpoint."""
    damaged: tuple[str, ...]
    """What is wrong with each newer checkpoint."""


def read_checkpoint(folder: Path) -> Checkpoint:
    """Reads and verifies the checkpoint in a folder.

    Raises:
        CheckpointError: it is damaged.
    """
    manifest = verify(folder)
    facts = json.loads((folder / FACTS).read_bytes())
    names = [name for name in manifest.files if name.endswith(SUFFIX)]
    tensors = {name: tensor for file in names for name, tensor in read_tensors(folder / file).items()}
    return Checkpoint(step=manifest.step, tensors=tensors, facts=facts)


class CheckpointStore:
    """The checkpoints in a folder."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def path(self, step: int) -> Path:
        return checkpoint_folder(self._folder, step)

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, in ascending order, damaged ones included."""
        return find_checkpoint_steps(self._folder)

    def save(self, draft: Draft, records: Sequence[Path] = ()) -> None:
        """Writes a checkpoint. When this returns it is on stable storage; if it fails, nothing is left of it.

        `records` are files that grow beside the checkpoints. They are synced first: a checkpoint refers to them.

        Raises:
            DiskError: the disk is full or broken.
        """
        target = self.path(draft.step)
        folder = draft_of(target)
        self._disk.remove(folder)
        try:
            for record in records:
                self._disk.sync(record)
            self._write(folder, draft)
            # An earlier attempt may have written this step after the checkpoint that the run was resumed from.
            put_in_place(folder, target, self._disk)
        except DiskError:
            with suppress(DiskError):
                self._disk.remove(folder)
            raise

    def _write(self, folder: Path, draft: Draft) -> None:
        count = len(draft.tensors)
        names = [f"state-{number}-of-{count}{SUFFIX}" for number in range(1, count + 1)]
        writers = {name: HashingWriter(part.encode()) for name, part in zip(names, draft.tensors, strict=True)}
        writers[FACTS] = HashingWriter([json.dumps(draft.facts, allow_nan=False).encode()])
        with ThreadPoolExecutor(len(writers)) as pool:
            writing = [pool.submit(self._disk.write, folder / name, writer) for name, writer in writers.items()]
        for each in writing:
            each.result()
        records = {name: writer.record for name, writer in writers.items()}
        manifest = Manifest(version=VERSION, step=draft.step, files=records)
        self._disk.write(folder / MANIFEST, [manifest.encode()])

    def load(self, step: int) -> Checkpoint:
        """Reads and verifies the checkpoint of a step.

        Raises:
            CheckpointError: there is none, or it is damaged.
        """
        folder = self.path(step)
        if not folder.is_dir():
            raise CheckpointError(f"{folder} does not exist; the run has checkpoints of steps {self.steps()}")
        checkpoint = read_checkpoint(folder)
        if checkpoint.step != step:
            raise CheckpointError(f"{folder} holds step {checkpoint.step}: the folder was renamed")
        return checkpoint

    def newest(self) -> NewestCheckpoint:
        """The newest undamaged checkpoint."""
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return NewestCheckpoint(checkpoint=self.load(step), damaged=tuple(damaged))
            except CheckpointError as error:
                damaged.append(str(error))
        return NewestCheckpoint(checkpoint=None, damaged=tuple(damaged))

    def prune(self, kept: Collection[int]) -> None:
        """Removes all checkpoints except those of the steps `kept`."""
        for step in self.steps():
            if step not in kept:
                # Renamed before it is removed, so that half a checkpoint never has a final name.
                doomed = draft_of(self.path(step))
                self._disk.remove(doomed)
                self._disk.rename(self.path(step), doomed)
                self._disk.remove(doomed)

"""The checkpoints of a run: `checkpoints/step-000010/`, each complete and proven, or not there.

A checkpoint is written under another name, its files onto the platter and the manifest after them, and then renamed.
So a folder with its final name is whole whenever the process or the machine stops, and a folder with another name is
rubbish. Should a disk change or lose what was written, `newest` finds it out and goes back to the checkpoint before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from verifine.checkpoints.manifest import MANIFEST, VERSION, Ledger, Manifest, verify
from verifine.checkpoints.tensors import Lent, read_tensors
from verifine.errors import CheckpointError, DiskError
from verifine.machine.disk import Disk, draft_of, put_in_place
from verifine.types import Json

SUFFIX = ".safetensors"
FACTS = "state.json"

_NAME = re.compile(r"step-([0-9]{6,})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a run goes on from."""

    step: int
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Json]
    """Everything that is no tensor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A checkpoint to be written."""

    step: int
    tensors: Sequence[Lent]
    """A file each."""
    facts: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What there is to go on from."""

    checkpoint: Checkpoint | None
    """The newest that is as it was written; None: there is none."""
    damaged: tuple[str, ...]
    """What is wrong with each newer one, which were passed over."""


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a folder, wherever it lies.

    Raises:
        CheckpointError: it is not as it was written.
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
        return self._folder / f"step-{step:06d}"

    def steps(self) -> list[int]:
        """Of which there is a checkpoint, the first first; whether it is undamaged is not looked at."""
        if not self._folder.is_dir():
            return []
        names = (_NAME.fullmatch(path.name) for path in self._folder.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def save(self, draft: Draft, records: Sequence[Path] = ()) -> None:
        """When this returns, the checkpoint is there for good. Nothing is left of one that could not be written.

        `records` are files that go on beside the checkpoints: what a checkpoint relies on is on the platter before it.

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
            # There may be one of an earlier try at this step, newer than what the run was resumed from.
            put_in_place(folder, target, self._disk)
        except DiskError:
            with suppress(DiskError):
                self._disk.remove(folder)
            raise

    def _write(self, folder: Path, draft: Draft) -> None:
        count = len(draft.tensors)
        names = [f"state-{number}-of-{count}{SUFFIX}" for number in range(1, count + 1)]
        ledgers = {name: Ledger(lent.encode()) for name, lent in zip(names, draft.tensors, strict=True)}
        ledgers[FACTS] = Ledger([json.dumps(draft.facts, allow_nan=False).encode()])
        with ThreadPoolExecutor(len(ledgers)) as pool:
            writing = [pool.submit(self._disk.write, folder / name, ledger) for name, ledger in ledgers.items()]
        for each in writing:
            each.result()
        records = {name: ledger.record for name, ledger in ledgers.items()}
        manifest = Manifest(version=VERSION, step=draft.step, files=records)
        self._disk.write(folder / MANIFEST, [manifest.encode()])

    def load(self, step: int) -> Checkpoint:
        """The checkpoint of a step.

        Raises:
            CheckpointError: there is none, or it is not as it was written.
        """
        folder = self.path(step)
        if not folder.is_dir():
            raise CheckpointError(f"{folder} is not there; the run has checkpoints of the steps {self.steps()}")
        checkpoint = read_checkpoint(folder)
        if checkpoint.step != step:
            raise CheckpointError(f"{folder} holds step {checkpoint.step}; it was renamed")
        return checkpoint

    def newest(self) -> Found:
        """The newest checkpoint that is as it was written."""
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return Found(checkpoint=self.load(step), damaged=tuple(damaged))
            except CheckpointError as error:
                damaged.append(str(error))
        return Found(checkpoint=None, damaged=tuple(damaged))

    def prune(self, kept: Collection[int]) -> None:
        """Removes every checkpoint but those of `kept`."""
        for step in self.steps():
            if step not in kept:
                # Renamed before it is removed, for half a checkpoint must not have a checkpoint's name.
                rubbish = draft_of(self.path(step))
                self._disk.remove(rubbish)
                self._disk.rename(self.path(step), rubbish)
                self._disk.remove(rubbish)

"""Checkpoints that stay when the run that wrote them removes them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from verifine.checkpoints.names import checkpoint_folder, find_checkpoint_steps
from verifine.machine.disk import LOCAL_DISK, Disk, draft_of, link_file, refuse_failure, write_whole
from verifine.runs.directory import RunDirectory
from verifine.runs.run_file import RUN_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """Second names of a run's checkpoints, in a folder that is read as a run directory is.

    They take no space of their own while the run has them too.
    """

    run: RunDirectory
    folder: Path
    disk: Disk = field(default=LOCAL_DISK, compare=False)

    def path(self, step: int) -> Path:
        return checkpoint_folder(RunDirectory(path=self.folder).checkpoints, step)

    def steps(self) -> set[int]:
        """Those that are here, or can still be kept; step 0 is the model that training began with."""
        own = find_checkpoint_steps(RunDirectory(path=self.folder).checkpoints)
        return {*own, *find_checkpoint_steps(self.run.checkpoints)} - {0}

    def keep(self, step: int) -> bool:
        """Whether the checkpoint of the step is here now; the run may have removed it meanwhile.

        Raises:
            DiskError: it cannot be kept.
        """
        target, source = self.path(step), checkpoint_folder(self.run.checkpoints, step)
        if target.exists():
            return True
        draft = draft_of(target)
        self.disk.remove(draft)
        with refuse_failure(target):
            try:
                is_whole = self._link(source, draft)
            except FileNotFoundError:
                is_whole = False
        if not is_whole:
            self.disk.remove(draft)
            return False
        self.disk.rename(draft, target)
        return True

    def remove_others(self, steps: Collection[int]) -> None:
        """Removes all but these. Raises DiskError."""
        for step in find_checkpoint_steps(RunDirectory(path=self.folder).checkpoints):
            if step not in steps:
                self.disk.remove(self.path(step))

    def _link(self, source: Path, draft: Path) -> bool:
        """Whether all of it was there. Raises OSError."""
        self._copy_settings()
        draft.mkdir(parents=True)
        folder = source.stat().st_ino
        for file in sorted(source.iterdir()):
            link_file(file, draft / file.name)
        # A run renames a checkpoint before it removes it: what still has its name was whole all the time.
        return source.stat().st_ino == folder

    def _copy_settings(self) -> None:
        """What says which model the checkpoints belong to."""
        for name in (RUN_FILE, self.run.config.name):
            if not (self.folder / name).exists():
                write_whole(self.folder / name, (self.run.path / name).read_bytes(), self.disk)

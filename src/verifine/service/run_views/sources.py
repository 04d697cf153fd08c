"""Which run directory an id stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifine.runs.directory import RunDirectory
from verifine.service.jobs.job import Job
from verifine.service.jobs.store import JobStore


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run that its owner may look at."""

    id: str
    job: Job | None
    """None: it was started at the command line."""
    directory: RunDirectory
    """It may not be there yet."""


class RunSources:
    """The runs of all owners; each method looks at those of one."""

    def __init__(self, jobs: JobStore, folder: Path) -> None:
        """`folder` has the folder of each job."""
        self._jobs, self._folder = jobs, folder

    def find(self, owner_id: str, run_id: str) -> FoundRun:
        """Raises UnknownJobError."""
        job = self._jobs.find(owner_id, run_id)
        return FoundRun(id=job.id, job=job, directory=RunDirectory(path=self._folder / job.id / "run"))

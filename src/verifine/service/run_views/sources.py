"""Which run directory an id stands for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifine.runs.directory import RunDirectory
from verifine.service.access.caller import Caller
from verifine.service.jobs.job import Job
from verifine.service.jobs.store import JobStore
from verifine.service.run_views.run_index import PREFIX, IndexedRun, RunIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run that its owner may look at."""

    id: str
    job: Job | None
    """None: it was started at the command line."""
    directory: RunDirectory
    """It may not be there yet."""


class RunSources:
    """The runs of all owners; each method looks at those that somebody may see."""

    def __init__(self, jobs: JobStore, folder: Path, index: RunIndex | None = None) -> None:
        """`folder` has the folder of each job; `index` the runs of the command line, for administrators."""
        self._jobs, self._folder, self._index = jobs, folder, index

    def list_runs(self, caller: Caller) -> list[IndexedRun]:
        """The runs of the command line."""
        return self._index.list() if self._index is not None and caller.is_administrator else []

    def find(self, caller: Caller, run_id: str) -> FoundRun:
        """Raises UnknownJobError."""
        if self._index is not None and caller.is_administrator and run_id.startswith(PREFIX):
            directory = self._index.find(run_id)
            if directory is not None:
                return FoundRun(id=run_id, job=None, directory=directory)
        job = self._jobs.find(caller.owner_id, run_id)
        return FoundRun(id=job.id, job=job, directory=RunDirectory(path=self._folder / job.id / "run"))

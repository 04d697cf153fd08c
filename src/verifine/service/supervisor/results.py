"""Which of a run's weights its job keeps: the best by held-out data, those of a pause, and the model at the end."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from verifine.errors import DiskError
from verifine.runs.directory import RunDirectory
from verifine.runs.jsonl import read_rows
from verifine.service.files import FileStore
from verifine.service.jobs.job import Job
from verifine.service.jobs.mapping import BEST_KEPT
from verifine.service.jobs.states import JobState
from verifine.service.models.kept_run import KeptRun
from verifine.service.models.results import NewCheckpoint, NewResultFile, NewTuned, RunResults
from verifine.service.supervisor.held_out import HeldOutResults
from verifine.service.supervisor.result_files import ROLLOUTS, STEP_METRICS, read_rollouts_file, read_step_metrics
from verifine.types import Json

MAX_BYTES = 1 << 40

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResults:
    """What lies in the folder of a job that may be used as a model."""

    job: Job
    data: Path
    """The service's folder."""
    folder: Path
    """The job's."""
    files: FileStore

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(path=self.folder / "run")

    @property
    def kept(self) -> KeptRun:
        return KeptRun(run=self.run, folder=self.folder / "kept")

    def keep_best(self, held_out: HeldOutResults) -> RunResults | None:
        """Keeps the best checkpoints; None: there are none."""
        best = held_out.best(self.kept.steps(), BEST_KEPT)
        if not best:
            return None
        kept = [self._checkpoint(each.step, held_out) for each in best if self._keep(each.step)]
        return RunResults(is_adapter=self._is_adapter(), best=tuple(kept))

    def finish(self, to: JobState, held_out: HeldOutResults) -> RunResults | None:
        """What a job that goes to this state leaves; None: nothing. Discard its files when it is written down."""
        if to is JobState.PAUSED:
            steps = self.kept.steps()
            if not steps or not self._keep(max(steps)):
                return None
            return RunResults(is_adapter=self._is_adapter(), paused=self._checkpoint(max(steps), held_out))
        if not to.is_final:
            return None
        files = self._write_files(held_out) if self.run.metrics.exists() else ()
        tuned = None
        if to is JobState.SUCCEEDED and held_out.model_step is not None and self.run.model.is_dir():
            tuned = NewTuned(step=held_out.model_step, folder=self._relative(self.run.model))
        return RunResults(is_adapter=self._is_adapter(), tuned=tuned, files=files)

    def remove_others(self, steps: Collection[int]) -> None:
        """Removes what is no longer kept."""
        try:
            self.kept.remove_others(steps)
        except DiskError as error:  # it is tried again after the next evaluation
            _LOG.warning("%s", error)

    def _write_files(self, held_out: HeldOutResults) -> tuple[NewResultFile, ...]:
        """None where the disk is full: a job ends without them."""
        contents: Mapping[str, Iterable[bytes]] = {
            STEP_METRICS: [read_step_metrics(self.run, held_out)],
            ROLLOUTS: read_rollouts_file(self.run),
        }
        written: list[NewResultFile] = []
        try:
            for name, content in contents.items():
                file = NewResultFile(filename=name, draft=self.files.begin(MAX_BYTES), store=self.files)
                written.append(file)
                for part in content:
                    file.draft.write(part)
                file.draft.finish()
        except DiskError as error:
            _LOG.warning("the result files of %s are not kept: %s", self.job.id, error)
            for file in written:
                file.draft.discard()
            return ()
        return tuple(written)

    def _keep(self, step: int) -> bool:
        try:
            return self.kept.keep(step)
        except DiskError as error:  # the run goes on, and so may the disk
            _LOG.warning("the checkpoint of step %d is not kept: %s", step, error)
            return False

    def _checkpoint(self, step: int, held_out: HeldOutResults) -> NewCheckpoint:
        valid = next((each.reward for each in held_out.results if each.step == step), None)
        trained = next((row for row in read_rows(self.run.metrics) if row["step"] == step), {})
        metrics: Mapping[str, Json] = {"train_reward_mean": trained.get("reward"), "valid_reward_mean": valid}
        return NewCheckpoint(step=step, folder=self._relative(self.kept.path(step)), metrics=metrics)

    def _is_adapter(self) -> bool:
        return self.job.run_config().model.lora is not None

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self.data))

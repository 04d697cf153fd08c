"""Saving checkpoints while the run goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from verifine.algorithms.loss import Loss
from verifine.batch import Batch, Estimates
from verifine.checkpoints.retention import kept_steps
from verifine.checkpoints.store import Checkpoint, CheckpointStore
from verifine.learner.learner import Learner, LearnerState, Lesson, UpdateReport
from verifine.models.load import Weights
from verifine.train.recorder import Recorder
from verifine.train.state import RunState, from_checkpoint, to_checkpoint

SHARE = 0.02
"""Of the time, what checkpoints may take where nobody said how often they come."""

LEAST_S = 60.0
"""And so far apart they are at least: what a crash costs is then about a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingPlan:
    """Which checkpoints are made, and which of them stay."""

    interval: int | Literal["auto"]
    """Steps from one to the next; auto: as often as costs little."""
    keep_last: int
    keep_best: int


class Saver:
    """Writes checkpoints in a thread of its own, from the weights themselves: nothing is copied.

    So a checkpoint has to be finished before the weights change again, which `PatientLearner` sees to. Until then the
    next step samples and grades, and there is time.
    """

    def __init__(
        self,
        learner: Learner,
        store: CheckpointStore,
        plan: SavingPlan,
        recorder: Recorder,
        clock: Callable[[], float],
        *,
        saved: int | None = None,
    ) -> None:
        """`saved` is the step whose checkpoint the run goes on from; None: it has just begun."""
        self._learner = learner
        self._store = store
        self._plan = plan
        self._recorder = recorder
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None
        self._saved = saved
        self._saved_at = clock()
        self.cost_s = 0.0
        """What the last checkpoint took to write."""

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint comes after this step."""
        if self._plan.interval == "auto":
            return self._clock() - self._saved_at >= max(LEAST_S, self.cost_s / SHARE)
        return step % self._plan.interval == 0

    def save(self, state: RunState, scores: Mapping[int, float]) -> None:
        """Begins to save. `scores` are the held-out results by step that say which checkpoints are the best.

        Raises:
            DiskError: the checkpoint before this one could not be written.
        """
        self.finish()
        if self._saved == state.progress.step:
            return
        checkpoint = to_checkpoint(state, self._learner.state())
        self._saved, self._saved_at = state.progress.step, self._clock()
        self._pending = self._thread.submit(self._write, checkpoint, dict(scores))

    def finish(self) -> None:
        """Waits for what is being saved; from then on it is said to be saved.

        Raises:
            DiskError: it could not be written.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            self.cost_s = pending.result()
            self._recorder.event("saved", step=self._saved)

    def restore(self, step: int) -> None:
        """Gives the learner the state of a checkpoint back.

        Raises:
            CheckpointError: it is damaged or not there.
        """
        _, state = from_checkpoint(self._store.load(step))
        self._learner.restore(state)

    def _write(self, checkpoint: Checkpoint, scores: Mapping[int, float]) -> float:
        """Returns the seconds it took."""
        start = self._clock()
        self._store.save(checkpoint, self._recorder.files)
        kept = kept_steps(self._store.steps(), scores, last=self._plan.keep_last, best=self._plan.keep_best)
        self._store.prune(kept)
        return self._clock() - start


class PatientLearner:
    """A learner that changes no weights that are still being saved."""

    def __init__(self, learner: Learner, finish_saving: Callable[[], object]) -> None:
        self._learner = learner
        self._finish_saving = finish_saving

    def estimate(self, batch: Batch) -> Estimates:
        return self._learner.estimate(batch)

    def update(self, lesson: Lesson, loss: Loss) -> UpdateReport:
        self._finish_saving()
        return self._learner.update(lesson, loss)

    def weights(self) -> Weights:
        return self._learner.weights()

    def state(self) -> LearnerState:
        return self._learner.state()

    def restore(self, state: LearnerState) -> None:
        self._finish_saving()
        self._learner.restore(state)

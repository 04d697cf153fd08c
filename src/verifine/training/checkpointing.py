"""Saving checkpoints while training continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from verifine.checkpoints.retention import best_steps, kept_steps
from verifine.checkpoints.store import CheckpointStore, Draft
from verifine.checkpoints.tensors import TensorSnapshot
from verifine.learner.learner import Learner
from verifine.machine.memory import read_unused
from verifine.runs.events import CheckpointSaved
from verifine.training.recorder import Recorder
from verifine.training.state import RunState, from_checkpoint, to_draft

SHARE = 0.02
"""The share of the time that writing checkpoints may take if `run.save_interval` is auto."""

LEAST_S = 60.0
"""The shortest time between two checkpoints then: a crash costs about a minute."""

COPIED_SHARE = 0.5
"""The share of unused memory that a copy of unwritten tensors may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SavingPlan:
    """Which checkpoints are made, and which are kept."""

    interval: int | Literal["auto"]
    """Steps between two checkpoints; auto: by time, see SHARE and LEAST_S."""
    keep_last: int
    keep_best: int


class Saver:
    """Writes checkpoints in threads of its own, from the weights themselves, while the next step samples and grades.

    Before weights change, `copy_unwritten` must be called.
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
        unused_memory: Callable[[], int] = read_unused,
    ) -> None:
        """`saved` is the step of the checkpoint that the run continues from; None: it has just begun."""
        self._learner = learner
        self._store = store
        self._plan = plan
        self._recorder = recorder
        self._clock = clock
        self._unused_memory = unused_memory
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None
        self._snapshots: Sequence[TensorSnapshot] = ()
        """The learner's tensors that the thread still reads; empty once they are written or copied."""
        self._saved = saved
        self._saved_at = clock()
        self.cost_s = 0.0
        """How long writing the last checkpoint took."""

    def is_due(self, step: int) -> bool:
        """Whether a checkpoint comes after this step."""
        if self._plan.interval == "auto":
            return self._clock() - self._saved_at >= max(LEAST_S, self.cost_s / SHARE)
        return step % self._plan.interval == 0

    def keeps(self, step: int, scores: Mapping[int, float]) -> bool:
        """Whether a checkpoint of this step would be kept for its held-out result. Step 0 is what was begun with."""
        trained = {each: score for each, score in scores.items() if each > 0}
        return step in best_steps(trained, self._plan.keep_best)

    def save(self, state: RunState, scores: Mapping[int, float]) -> None:
        """Begins to save. `scores` are the held-out results by step that say which checkpoints are the best.

        Raises:
            DiskError: the checkpoint before this one could not be written.
        """
        self.finish()
        if self._saved == state.progress.step:
            return
        draft = to_draft(state, self._learner.state())
        self._saved, self._saved_at = state.progress.step, self._clock()
        self._snapshots = draft.tensors
        self._pending = self._thread.submit(self._write, draft, dict(scores))

    def copy_unwritten(self) -> None:
        """Copies what is not yet written, because the weights are about to change.

        Where memory is short, it waits until everything is written.

        Raises:
            DiskError: the checkpoint could not be written.
        """
        if self._pending is not None and self._pending.done():
            self.finish()
        remaining_bytes = sum(each.remaining_bytes for each in self._snapshots)
        if remaining_bytes and remaining_bytes > COPIED_SHARE * self._unused_memory():
            self.finish()
        for each in self._snapshots:
            each.copy_remaining()
        self._snapshots = ()

    def finish(self) -> None:
        """Waits until the checkpoint is written, and emits that it was saved.

        Raises:
            DiskError: it could not be written.
        """
        pending, self._pending, self._snapshots = self._pending, None, ()
        if pending is not None:
            self.cost_s = pending.result()
            assert self._saved is not None, "what was written is a step"
            self._recorder.emit(CheckpointSaved(step=self._saved))

    def close(self) -> None:
        """Waits until nothing writes into the run directory any more, however the run ended."""
        self._thread.shutdown()

    def saved_steps(self) -> list[int]:
        """The steps that have a checkpoint, in ascending order."""
        return self._store.steps()

    def restore(self, step: int) -> None:
        """Restores the learner from a checkpoint.

        Raises:
            CheckpointError: it is damaged or missing.
        """
        _, state = from_checkpoint(self._store.load(step))
        self.copy_unwritten()
        self._learner.restore(state)

    def _write(self, draft: Draft, scores: Mapping[int, float]) -> float:
        """Returns the seconds it took."""
        start = self._clock()
        self._store.save(draft, self._recorder.files)
        kept = kept_steps(self._store.steps(), scores, last=self._plan.keep_last, best=self._plan.keep_best)
        self._store.prune(kept)
        return self._clock() - start

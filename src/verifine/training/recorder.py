"""What a run writes while it trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save

from verifine.insights.held_out import evaluation_numbers
from verifine.machine.disk import write_whole
from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import Evaluation, read_evaluations, write_evaluation
from verifine.runs.events import EvaluationDone, EventSink, RunEvent
from verifine.runs.metrics import MetricLog
from verifine.runs.rollouts import prune_rollouts, write_rollouts
from verifine.training.graded_groups import TextEnds, graded_groups
from verifine.training.step import StepResult
from verifine.types import Prompt


class Recorder:
    """Writes metrics, rollouts, evaluations and events into a run directory."""

    def __init__(
        self,
        directory: RunDirectory,
        prompt_text: Callable[[Prompt], str],
        events: EventSink,
        *,
        text_ends: TextEnds | None = None,
        kept_steps: int | None = None,
    ) -> None:
        """`prompt_text` gives a prompt as the model reads it.

        `text_ends` says where the text of each token of an answer ends; None: that is not written. `kept_steps` is how
        many of the newest steps keep their rollouts; None: all.
        """
        self._directory = directory
        self._prompt_text = prompt_text
        self._events = events
        self._text_ends = text_ends
        self._kept_steps = kept_steps
        self._metrics = MetricLog(directory.metrics, directory.disk)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those that grow from step to step."""
        return self._directory.metrics, self._directory.events

    def find_evaluation(self, name: str) -> Evaluation | None:
        """What was written of it; None: nothing."""
        return read_evaluations(self._directory.evaluations).get(name)

    def emit(self, event: RunEvent) -> None:
        """Writes an event and tells the listeners."""
        self._events.emit(event)

    def step(self, result: StepResult) -> None:
        """Rollouts first, so that a step with a metrics row is a step with its rollouts."""
        step, folder = result.progress.step, self._directory.rollouts
        write_rollouts(folder, step, graded_groups(result, self._prompt_text, self._text_ends), self._directory.disk)
        if self._kept_steps is not None:
            prune_rollouts(folder, step - self._kept_steps + 1, self._directory.disk)
        self._metrics.append(result.report)

    def dump(self, result: StepResult) -> Path:
        """Everything the updates of a step saw, for whoever looks for what went wrong."""
        assert result.training_batch is not None, "an update that was not finite had a training batch"
        path = self._directory.dumps / f"step-{result.progress.step:06d}.safetensors"
        write_whole(path, save(result.training_batch.tensors()), self._directory.disk)
        return path

    def evaluation(self, evaluation: Evaluation) -> None:
        write_evaluation(self._directory.evaluations, evaluation, self._directory.disk)
        numbers = evaluation_numbers(evaluation)
        self.emit(EvaluationDone(name=evaluation.name, numbers=numbers, evaluation=evaluation))

"""One process that works on a run: it locks the directory, shows that it is alive, and records how it ended."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from verifine.errors import DiskError, VerifineError
from verifine.insights.saved_work import describe_saved_work
from verifine.machine.failures import describe_traceback, explain_failure, keep_traceback, traceback_text
from verifine.runs.directory import RunDirectory, write_text
from verifine.runs.environment import Environment
from verifine.runs.events import (
    AttemptBegan,
    EvaluationDone,
    EventSink,
    KernelsChanged,
    Listener,
    RunEnded,
    RunEvent,
    StageBegan,
    StepDone,
    TrainingResumed,
    TrainingStarted,
    ended_by,
)
from verifine.runs.heartbeat import TRAINING, HeartbeatWriter
from verifine.runs.lock import hold
from verifine.runs.run_file import Attempt, InputFacts, Provenance, read_run_file, write_run_file


class OpenAttempt:
    """An attempt in progress."""

    def __init__(self, directory: RunDirectory, environment: Environment, listeners: Sequence[Listener]) -> None:
        self.directory = directory
        self._attempt = Attempt(
            number=1 + max((each.number for each in read_run_file(directory.path).attempts), default=0),
            started=datetime.now(UTC),
            host=socket.gethostname(),
            pid=os.getpid(),
            versions={
                "python": environment.python,
                "verifine": environment.verifine,
                "torch": environment.torch,
                "transformers": environment.transformers,
            },
        )
        self._heartbeat = HeartbeatWriter(directory.heartbeat, self._attempt.number)
        now = lambda: datetime.now(UTC)  # noqa: E731
        self.events = EventSink(directory.events, now, directory.disk, listeners=(self._listen, *listeners))
        self._is_announced = self._has_ended = False

    def announce(self) -> None:
        """Records the attempt in the run."""
        self._write()
        self.events.emit(AttemptBegan(number=self._attempt.number))

    def begin_training(
        self, from_step: int, provenance: Provenance, inputs: InputFacts, kernels: Mapping[str, str]
    ) -> KernelsChanged | None:
        """Marks the run as begun; its directory is not used for another run after this.

        Returns how this attempt computes otherwise than the last one that it goes on from. None: it does not.
        """
        earlier = [each for each in read_run_file(self.directory.path).training_attempts if each.kernels]
        self._attempt = replace(self._attempt, from_step=from_step, kernels=kernels)
        self._write(provenance, inputs)
        return _compare_kernels(earlier[-1], self._attempt) if from_step > 0 and earlier else None

    def end(self) -> None:
        """Records that the attempt is over."""
        if self._is_announced:
            self._attempt = replace(self._attempt, ended=datetime.now(UTC))
            self._write()

    def fail(self, error: BaseException) -> None:
        """Records the error that ended the attempt, unless training has recorded an end already."""
        with suppress(DiskError):  # the error that ended it matters more
            if self._is_announced and not self._has_ended:
                self.events.emit(ended_by(error))
            self.end()

    def explain(self, error: Exception) -> VerifineError:
        """The error to raise in place of one that ended the attempt, with notes on what is safe.

        An exception that is no VerifineError has its traceback in a file of the run.
        """
        if isinstance(error, VerifineError):
            if self._is_announced:  # what refuses a resume has its own hint
                self.add_saved_work(error)
            return error
        told = explain_failure(error)
        told.add_note(describe_traceback(self._keep_traceback(error)))
        self.add_saved_work(told, otherwise="Training had not begun, so nothing is lost.")
        return told

    def add_saved_work(self, error: BaseException, otherwise: str | None = None) -> None:
        """Adds a note on what is saved, or `otherwise` if training has not begun."""
        with suppress(VerifineError):  # the files cannot be read, and `error` matters more
            saved = describe_saved_work(self.directory) or otherwise
            if saved is not None:
                error.add_note(saved)

    def close(self) -> None:
        self._heartbeat.close()

    def _keep_traceback(self, error: Exception) -> Path | None:
        path = self.directory.traceback(self._attempt.number)
        try:
            write_text(path, traceback_text(error), self.directory.disk)
        except DiskError:
            return keep_traceback(error, os.environ)
        return path

    def _listen(self, event: RunEvent) -> None:
        match event:
            case AttemptBegan():
                self._is_announced = True
            case RunEnded():
                self._has_ended = True
            case StageBegan(text=text):
                self._heartbeat.note(text)
            case StepDone(report=report):
                self._heartbeat.note(TRAINING, report.step)
            case TrainingStarted() | TrainingResumed() | EvaluationDone():
                self._heartbeat.note(TRAINING)

    def _write(self, provenance: Provenance | None = None, inputs: InputFacts | None = None) -> None:
        run_file = read_run_file(self.directory.path).with_latest(self._attempt)
        if provenance is not None:
            run_file = replace(run_file, provenance=provenance, inputs=inputs)
        write_run_file(self.directory.path, run_file, self.directory.disk)


def _compare_kernels(earlier: Attempt, latest: Attempt) -> KernelsChanged | None:
    before, now = (
        {**each.kernels, **{name: each.versions.get(name) or "none" for name in ("torch", "transformers")}}
        for each in (earlier, latest)
    )
    changed = [name for name in now if now[name] != before.get(name)]
    if not changed:
        return None
    return KernelsChanged(
        before={name: before.get(name, "none") for name in changed}, now={name: now[name] for name in changed}
    )


@contextmanager
def open_attempt(
    directory: RunDirectory, environment: Environment, listeners: Sequence[Listener]
) -> Iterator[OpenAttempt]:
    """Begins an attempt at a run, and ends it on exit.

    An exception that is no VerifineError is raised as the VerifineError that explains it.

    Raises:
        ConfigError: another process is training in it.
    """
    with hold(directory):
        attempt = OpenAttempt(directory, environment, listeners)
        try:
            yield attempt
            attempt.end()
        except Exception as error:
            attempt.fail(error)
            told = attempt.explain(error)
            if told is error:
                raise
            raise told from error
        except BaseException as error:
            attempt.fail(error)
            attempt.add_saved_work(error)
            raise
        finally:
            attempt.close()

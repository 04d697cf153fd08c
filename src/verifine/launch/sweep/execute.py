"""Trains the runs of a sweep one after the other; what is done is known from the run directories alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from verifine.errors import ConfigError
from verifine.launch.sweep.durations import RunTime, expect_all
from verifine.launch.sweep.folder import Sweep, SweepFolder
from verifine.launch.sweep.planned import PlannedRun
from verifine.launch.sweep.process import CommandProcess, LaunchProcess, SweepOptions, TrainingProcess, explain_end
from verifine.runs.directory import RunDirectory
from verifine.runs.record import RunRecord, read_run
from verifine.runs.requests import RunRequest, ask_run
from verifine.runs.run_file import read_run_file
from verifine.runs.status import DISK_FULL, Status, find_status
from verifine.types import Json

POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEvent:
    """Something that happened in a sweep."""

    run: PlannedRun


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan(SweepEvent):
    """A run is taken up."""

    number: int
    """Its place in the sweep, from 1."""
    is_resumed: bool
    is_elsewhere: bool
    """Whether another process trains it, such as one that outlived its sweep, so that its end is awaited."""
    others_s: float | None
    """How long the other runs still take; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReported(SweepEvent):
    """The process of a run printed a row."""

    row: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOver(SweepEvent):
    """A run is complete, or the sweep goes on without it."""

    number: int
    problem: str | None
    """Why it is not complete; None: it is, or it was paused with the sweep."""
    record: RunRecord | None
    """None: it has written nothing."""
    left_s: float | None
    """How long the sweep still takes; None: not known."""

    @property
    def is_disk_full(self) -> bool:
        return self.record is not None and self.record.status.reason == DISK_FULL


class SweepSession:
    """The training of a sweep in this process. `pause` may be called at any time, also by a signal handler."""

    def __init__(
        self,
        folder: SweepFolder,
        sweep: Sweep,
        options: SweepOptions,
        tell: Callable[[SweepEvent], None],
        *,
        launch: LaunchProcess = CommandProcess,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder, self._sweep, self._options = folder, sweep, options
        self._tell, self._launch, self._wait = tell, launch, wait
        self._process: TrainingProcess | None = None
        self._is_paused = False

    def run(self) -> list[RunOver]:
        """Trains what is not complete yet, each run once; the result of every run that was taken up.

        A run that fails does not end the sweep; a full disk does.
        """
        results: list[RunOver] = []
        for number, run in enumerate(self._sweep.runs, start=1):
            if self._is_paused or any(result.is_disk_full for result in results):
                break
            try:
                result = self._take_up(number, run)
                self._drop_checkpoints(self._folder.run(run))
            except ConfigError as error:  # its directory is damaged, or another version has written it
                result = RunOver(run=run, number=number, problem=str(error), record=None, left_s=None)
            if result is not None:
                results.append(result)
                self._tell(result)
        return results

    def pause(self) -> None:
        """Asks the run that trains to pause, and begins no other."""
        self._is_paused = True
        if self._process is not None:
            self._process.pause()

    def _take_up(self, number: int, run: PlannedRun) -> RunOver | None:
        """None: it is complete already."""
        directory, code = self._folder.run(run), 0
        if find_status(directory).status.is_complete:
            return None
        self._await_other(number, run)
        if not find_status(directory).status.is_complete and not self._is_paused:
            is_resumed = read_run_file(directory.path).has_begun
            self._tell_began(number, run, is_resumed=is_resumed)
            code = self._train(run, is_resumed=is_resumed)
            # It may have been refused because another process came first.
            self._await_other(number, run)
        return RunOver(
            run=run,
            number=number,
            problem=self._find_problem(run, code),
            record=find_record(directory),
            left_s=expect_all(find_times(self._folder, self._sweep)),
        )

    def _find_problem(self, run: PlannedRun, code: int) -> str | None:
        status = find_status(self._folder.run(run))
        was_asked = status.status in (Status.PAUSED, Status.INTERRUPTED) and status.reason != DISK_FULL
        if status.status.is_complete or (self._is_paused and (was_asked or code < 0)):
            return None
        if was_asked:
            return f"{status.status} by request"
        return status.message if code == 0 else explain_end(code, self._folder.log(run))

    def _train(self, run: PlannedRun, *, is_resumed: bool) -> int:
        directory, config = self._folder.run(run).path.absolute(), self._folder.write_config(run).absolute()
        words: list[str | Path] = ["resume", directory] if is_resumed else ["train", config, "--run-dir", directory]
        if self._options.skip_check and not is_resumed:
            words.append("--skip-check")
        words += ["--json", *self._options.grader_words()]
        process = self._launch(words, self._folder.log(run))
        self._process = process
        try:
            if self._is_paused:  # asked while the process was started
                process.pause()
            for row in process.rows():
                self._tell(RunReported(run=run, row=row))
            return process.end()
        except BaseException:
            process.stop()
            raise
        finally:
            self._process = None

    def _await_other(self, number: int, run: PlannedRun) -> None:
        """Waits for the end of a process that trains the run already."""
        directory, has_told = self._folder.run(run), False
        while not find_status(directory).status.has_ended:
            if not has_told:
                self._tell_began(number, run, is_elsewhere=True)
                has_told = True
            if self._is_paused:
                ask_run(directory, RunRequest.PAUSE)
            self._wait(POLL_S)

    def _tell_began(
        self, number: int, run: PlannedRun, *, is_resumed: bool = False, is_elsewhere: bool = False
    ) -> None:
        times = find_times(self._folder, self._sweep)
        others_s = expect_all([each for place, each in enumerate(times) if place != number - 1])
        self._tell(
            RunBegan(run=run, number=number, is_resumed=is_resumed, is_elsewhere=is_elsewhere, others_s=others_s)
        )

    def _drop_checkpoints(self, directory: RunDirectory) -> None:
        if self._options.drop_checkpoints and find_status(directory).status.is_complete:
            directory.disk.remove(directory.checkpoints)


def find_record(directory: RunDirectory) -> RunRecord | None:
    """What a run has written; None: nothing yet.

    Raises:
        ConfigError: it cannot be read.
    """
    return read_run(directory) if directory.config.is_file() else None


def find_times(folder: SweepFolder | None, sweep: Sweep) -> list[RunTime]:
    """What is known of the time of each run; `folder` None: the sweep has none yet."""
    return [_time_of(run, None if folder is None else folder.run(run)) for run in sweep.runs]


def _time_of(run: PlannedRun, directory: RunDirectory | None) -> RunTime:
    nothing, record = RunTime(variant=run.variant, limits=run.config.run), None
    with suppress(ConfigError):
        record = None if directory is None else find_record(directory)
    if directory is None or record is None:
        return nothing
    # An attempt that was killed has no end; its events tell how long it trained.
    attempts = read_run_file(directory.path).attempts
    whole = sum((each.ended - each.started).total_seconds() for each in attempts if each.ended is not None)
    return replace(
        nothing,
        steps=record.steps,
        seconds=max(whole, record.duration_s or 0.0),
        is_complete=record.status.status.is_complete,
    )

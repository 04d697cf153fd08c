"""What becomes of a job whose process has ended: pure functions of how its run ended and what its owner asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from verifine.insights.findings import TRAIN_ANYWAY
from verifine.runs.status import DISK_FULL, MAX_MINUTES, MAX_STEPS, SOLVED, RunStatus, Status
from verifine.service.jobs.job import JobFailure, JobNews
from verifine.service.jobs.states import JobState
from verifine.service.supervisor.progress import JobProgress

CRASHES = 3
"""A job that crashes or hangs so often at one step is not started again."""

_PAUSES = {
    DISK_FULL: "the disk is full (disk_full)",
    MAX_STEPS: "it has used its max_steps; resume it with more",
    MAX_MINUTES: "it has used its max_minutes; resume it with more",
}

_SUCCESS = {
    Status.FINISHED: "The job has successfully completed",
    Status.OUT_OF_TIME: "The job has successfully completed: its time is used up",
    Status.NO_PROGRESS: "The job has successfully completed: evaluations got no better",
    Status.NO_SIGNAL: "The job has successfully completed: nearly all answers are right",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFault:
    """What went wrong with a process that did not end by itself."""

    why: str
    is_hang: bool = False
    """Whether it was ended because it did nothing any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Where a job goes."""

    to: JobState
    news: JobNews
    failure: JobFailure | None = None
    progress: JobProgress


def decide_ending(run: RunStatus | None, state: JobState, progress: JobProgress, fault: ProcessFault) -> Ending:
    """What follows from the end of a process.

    `run`: the status of the run, None if this process has written nothing; `state`: running, pausing or cancelling;
    `fault`: what is to be told of a process that did not end by itself.
    """
    if run is None or not run.status.has_ended or run.status is Status.KILLED:
        return _crashed(state, replace(progress, ending=None), fault)
    progress = replace(progress, ending=run.reason or (run.status if run.status.is_complete else None))
    if run.status is Status.FAILED:
        message = (run.message or "the run failed").removesuffix(TRAIN_ANYWAY)
        return _failed(run.reason or "failed", message, progress)
    if run.status is Status.NO_SIGNAL and run.reason != SOLVED:
        message = "all answers to each prompt scored the same for too many steps, so there was nothing to learn from"
        return _failed("no_signal", message, progress)
    if run.status.is_complete:
        return Ending(to=JobState.SUCCEEDED, news=JobNews(message=_SUCCESS[run.status]), progress=progress)
    if state is JobState.CANCELLING or run.status is Status.INTERRUPTED:
        return _cancelled(progress)
    if state is JobState.PAUSING:
        return Ending(to=JobState.PAUSED, news=JobNews(message="Job paused"), progress=progress)
    if run.reason in _PAUSES:
        news = JobNews(
            message=f"Job paused: {_PAUSES[run.reason]}", level="error" if run.reason == DISK_FULL else "info"
        )
        return Ending(to=JobState.PAUSED, news=news, progress=progress)
    news = JobNews(message="The process was asked to end; the job waits to be continued", level="warn")
    return Ending(to=JobState.QUEUED, news=news, progress=progress)


def _crashed(state: JobState, progress: JobProgress, fault: ProcessFault) -> Ending:
    if state is JobState.CANCELLING:
        return _cancelled(progress)
    verb = "hung" if fault.is_hang else "crashed"
    if state is JobState.PAUSING:
        news = JobNews(message=f"Job paused at its last checkpoint: the process {verb}: {fault.why}", level="warn")
        return Ending(to=JobState.PAUSED, news=news, progress=progress)
    count = progress.crashes + 1 if progress.crash_step == progress.step else 1
    progress = replace(progress, crashes=count, crash_step=progress.step)
    if count >= CRASHES:
        return _failed(verb, f"the process {verb} {count} times after step {progress.step}: {fault.why}", progress)
    message = f"The process {verb} after step {progress.step} ({count} of {CRASHES} times): {fault.why}"
    news = JobNews(message=f"{message}; it starts again, from its last checkpoint if it has one", level="warn")
    return Ending(to=JobState.QUEUED, news=news, progress=progress)


def _failed(code: str, message: str, progress: JobProgress) -> Ending:
    return Ending(
        to=JobState.FAILED,
        news=JobNews(message=f"The job failed: {message}", level="error"),
        failure=JobFailure(code=code, message=message),
        progress=progress,
    )


def _cancelled(progress: JobProgress) -> Ending:
    return Ending(to=JobState.CANCELLED, news=JobNews(message="Job cancelled", level="warn"), progress=progress)

"""The loop that brings jobs forward: it claims, starts, follows, and ends them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from verifine.errors import DiskError, VerifineError
from verifine.machine.disk import write_whole
from verifine.runs.directory import RunDirectory
from verifine.runs.events import EventRecord, TrainingResumed, TrainingStarted
from verifine.runs.following import Rewound, read_events_since, read_metrics_since
from verifine.runs.heartbeat import read_living_heartbeat
from verifine.runs.metrics import read_metrics
from verifine.runs.requests import RunRequest, ask_run
from verifine.runs.run_file import read_run_file
from verifine.runs.status import RunStatus, find_status
from verifine.service.files import FileStore
from verifine.service.jobs.budget import Budget, budget_of
from verifine.service.jobs.claims import RENEW_S, Claim, JobClaims, StaleClaimError
from verifine.service.jobs.job import FAILURES, UNFORESEEN, Job, JobFailure, JobNews
from verifine.service.jobs.needs import Shortage, estimate_needs
from verifine.service.jobs.states import JobState
from verifine.service.models.results import RunResults
from verifine.service.supervisor.diagnosis import find_problems_of_run
from verifine.service.supervisor.endings import Ending, ProcessFault, decide_ending
from verifine.service.supervisor.hang import Pulse, find_hang, take_pulse
from verifine.service.supervisor.news import grader_types, news_of_finding, news_of_steps, tell_run
from verifine.service.supervisor.pace import note_pace
from verifine.service.supervisor.processes import JobProcesses
from verifine.service.supervisor.progress import JobProgress, ProgressError, read_progress, write_progress
from verifine.service.supervisor.results import JobResults
from verifine.types import StepReport

CANCEL_S = 25.0
"""How long a run may take to end by itself when its job is cancelled; after 30 s it has ended."""

REST_S = 15.0
"""How long no job is started after one for which there was no room."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class HeldJob:
    """A job that this supervisor works on."""

    claim: Claim
    progress: JobProgress
    renewed_at: float
    """When the claim was made or renewed."""
    cancelled_at: float | None = None
    """When its cancellation was first seen; None: it is not being cancelled."""
    pulse: Pulse | None = None
    """None: nobody has looked yet."""
    hang: str | None = None
    """Why its process was ended; None: it was not."""
    is_begun: bool
    """Whether it is followed; until then it is to be started."""
    unreadable: JobFailure | None = None
    """Why it cannot be followed; None: it can."""
    failures: int = 0
    """How many of the latest looks at it failed for a reason that nobody has foreseen."""


class Supervisor:
    """Works on one running job at a time. Call `tick` again and again; nothing is lost between two calls."""

    def __init__(
        self,
        *,
        claims: JobClaims,
        processes: JobProcesses,
        files: FileStore,
        folder: Path,
        is_gone: Callable[[str], bool],
        look_for_shortage: Callable[[Job, RunDirectory], Shortage | None],
        now: Callable[[], float],
    ) -> None:
        """`folder` has the folder of each job; `is_gone` says of another supervisor that it has ended.

        `look_for_shortage` says what the machine lacks for a job now, as `needs.find_job_shortage`; `now` counts
        seconds, and stands still while the machine sleeps.
        """
        self._claims, self._processes, self._files, self._folder = claims, processes, files, folder
        self._is_gone, self._look_for_shortage, self._now = is_gone, look_for_shortage, now
        self._rests_until = -math.inf
        self._held: dict[str, HeldJob] = {}

    def tick(self) -> None:
        """Does what can be done now, and waits for nothing."""
        for claim in self._claims.take_over(self._is_gone):
            held = self._take(claim)
            # Without a process, only one that is to run needs one.
            held.is_begun = held.progress.begun_with is not None or claim.job.state is not JobState.RUNNING
        for held in list(self._held.values()):
            self._work(held)
        if not self._held and self._now() >= self._rests_until:
            waiting = self._claims.claim_next()
            if waiting is not None:
                self._work(self._take(waiting))

    def expected_bytes(self) -> int:
        """What the jobs that run will still take of the memory, by what is known of them; any thread may ask."""
        return sum(self._expected_bytes(held) for held in list(self._held.values()))

    def _expected_bytes(self, held: HeldJob) -> int:
        needs = estimate_needs(held.claim.job.run_config())
        has = self._processes.resident_bytes(self._places(held.claim)[0])
        return 0 if needs is None else max(0, needs.memory - has)

    def _take(self, claim: Claim) -> HeldJob:
        held = HeldJob(claim=claim, progress=JobProgress(), renewed_at=self._now(), is_begun=False)
        self._held[claim.job.id] = held
        try:
            held.progress = read_progress(claim.job.progress)
        except ProgressError as error:
            held.unreadable = JobFailure(code="server_error", message=str(error))
        return held

    def _work(self, held: HeldJob) -> None:
        """Does what can be done for a job now, or gives it up. Whatever it is, it holds up no other."""
        failure = held.unreadable or self._try(held, self._attend if held.is_begun else self._begin)
        if failure is not None:
            self._try(held, partial(self._give_up, failure=failure))

    def _try(self, held: HeldJob, work: Callable[[HeldJob], None]) -> JobFailure | None:
        """Why the job is to be given up; None: it is not."""
        try:
            work(held)
        except StaleClaimError:  # its process is another supervisor's now
            self._held.pop(held.claim.job.id, None)
        except VerifineError as error:
            return JobFailure(code="run_unreadable", message=str(error))
        except Exception:  # noqa: BLE001 - whatever one job is, the others go on
            held.failures += 1
            _LOG.exception("the service failed at the job %s (%d times in a row)", held.claim.job.id, held.failures)
            return UNFORESEEN if held.failures >= FAILURES else None
        else:
            held.failures = 0
        return None

    def _begin(self, held: HeldJob) -> None:
        """Starts the process of a job, unless the machine has no room for it."""
        run = self._places(held.claim)[1]
        try:
            shortage = self._look_for_shortage(held.claim.job, run)
            if shortage is None:
                self._start(held, run)
            else:
                self._put_off(held, shortage)
        except StaleClaimError:  # its owner has changed his mind meanwhile, which the next look sees
            pass
        except DiskError as error:
            self._put_off(held, Shortage(code="insufficient_disk", message=str(error), is_final=not error.is_full))
        held.is_begun = True

    def _put_off(self, held: HeldJob, shortage: Shortage) -> None:
        """Puts a job back into the queue, or ends it if it can never start here."""
        progress = write_progress(replace(held.progress, begun_with=None, waits_for=shortage.code))
        if shortage.is_final:
            news = JobNews(message=f"The job failed: {shortage.message}", level="error")
            failure = JobFailure(code=shortage.code, message=shortage.message)
            self._claims.release(held.claim, JobState.FAILED, news, failure=failure, progress=progress)
        else:
            told = held.progress.waits_for == shortage.code
            waits = None if told else JobNews(message=f"The job waits: {shortage.message}", level="warn")
            self._claims.release(held.claim, JobState.QUEUED, waits, progress=progress)
            self._rests_until = self._now() + REST_S
        del self._held[held.claim.job.id]

    def _start(self, held: HeldJob, run: RunDirectory) -> None:
        """From the beginning, or from the last checkpoint."""
        claim, folder = held.claim, run.path.parent
        begun_with = run.events.stat().st_size if run.events.exists() else 0
        held.progress = replace(held.progress, begun_with=begun_with, waits_for=None)
        self._claims.tell(claim, progress=write_progress(held.progress))
        if read_run_file(run.path).has_begun:
            budget = budget_of(claim.job.run_config())
            self._processes.start(folder, ["resume", str(run.path), "--json", *_budget_words(budget)])
            return
        config = folder / "config.yaml"
        write_whole(config, claim.job.config.encode())
        self._processes.start(folder, ["train", str(config), "--json"])

    def _attend(self, held: HeldJob) -> None:
        """Follows a job, and passes on what its owner asks for."""
        state = self._hold(held)
        folder, run = self._places(held.claim)
        is_alive = self._processes.is_alive(folder)  # before the run is read, so that its last words are not missed
        self._report(held, run)
        if is_alive:
            self._end_hanging(held, folder, run)
            self._pass_on(held, state, folder, run)
            return
        why = self._processes.why_ended(folder) if held.hang is None else held.hang
        fault = ProcessFault(why=why, is_hang=held.hang is not None)
        ending = decide_ending(self._status_of(held, run), state, held.progress, fault)
        if ending.to in (JobState.SUCCEEDED, JobState.FAILED):
            self._diagnose(held, run)
            ending = replace(ending, progress=replace(ending.progress, is_diagnosed=held.progress.is_diagnosed))
        results = self._results(held.claim).finish(ending.to, ending.progress.held_out)
        try:
            self._end(held, ending, results)
        except DiskError as error:
            if results is None or not results.files:
                raise
            _LOG.warning("the result files of %s are not kept: %s", held.claim.job.id, error)
            self._end(held, ending, replace(results, files=()))
        finally:
            for file in () if results is None else results.files:
                file.draft.discard()

    def _diagnose(self, held: HeldJob, run: RunDirectory) -> None:
        """Tells what `verifine doctor` says of a run that is over, once, but for what was told while it went on."""
        if held.progress.is_diagnosed or not run.metrics.exists():
            return
        try:
            found = find_problems_of_run(run, datetime.now(UTC))
        except Exception:  # noqa: BLE001 - what a job has learned stays, whatever is wrong with a file or the diagnosis
            _LOG.warning("the run of %s cannot be diagnosed", held.claim.job.id, exc_info=True)
            return
        held.progress = replace(held.progress, is_diagnosed=True)
        self._claims.tell(held.claim, *map(news_of_finding, found), progress=write_progress(held.progress))

    def _end(self, held: HeldJob, ending: Ending, results: RunResults | None) -> None:
        """Raises DiskError: a result file cannot be put in its place."""
        progress = write_progress(replace(ending.progress, begun_with=None))
        self._claims.release(
            held.claim, ending.to, ending.news, results=results, failure=ending.failure, progress=progress
        )
        del self._held[held.claim.job.id]

    def _hold(self, held: HeldJob) -> JobState:
        """The state of the job, which this supervisor still holds. Raises StaleClaimError."""
        if self._now() - held.renewed_at < RENEW_S:
            return self._claims.look(held.claim)
        held.renewed_at = self._now()
        return self._claims.renew(held.claim)

    def _give_up(self, held: HeldJob, failure: JobFailure) -> None:
        """Ends a job whose run cannot be followed."""
        self._claims.look(held.claim)  # nothing is killed while the database does not answer, or for another supervisor
        self._processes.kill(self._places(held.claim)[0])
        news = JobNews(message=f"The job failed: {failure.message}", level="error")
        self._claims.release(held.claim, JobState.FAILED, news, failure=failure)
        del self._held[held.claim.job.id]

    def _end_hanging(self, held: HeldJob, folder: Path, run: RunDirectory) -> None:
        held.pulse = take_pulse(held.pulse, read_living_heartbeat(run.heartbeat), self._now())
        held.hang = find_hang(held.pulse, self._now(), lambda: read_metrics(run.metrics))
        if held.hang is not None:
            self._processes.kill(folder)

    def _pass_on(self, held: HeldJob, state: JobState, folder: Path, run: RunDirectory) -> None:
        # Asked again each time, since a run that only begins forgets what it was asked.
        if state is JobState.PAUSING and run.path.exists():
            with suppress(OSError):  # the disk is full, which pauses it as well
                ask_run(run, RunRequest.PAUSE)
        if state is not JobState.CANCELLING:
            return
        if held.cancelled_at is None:
            held.cancelled_at = self._now()
        if run.path.exists() and self._now() - held.cancelled_at < CANCEL_S:
            with suppress(OSError):
                ask_run(run, RunRequest.CANCEL)
        else:
            self._processes.kill(folder)

    def _report(self, held: HeldJob, run: RunDirectory) -> None:
        """Tells what is new, each step once, however often a run goes back to a checkpoint."""
        progress = held.progress
        if not run.events.exists():
            return
        events, metrics = read_events_since(run, progress.events), read_metrics_since(run, progress.metrics)
        if (events.cursor, metrics.cursor) == (progress.events, progress.metrics):
            return
        records = [row for row in events.rows if isinstance(row, EventRecord)]
        total = _total_steps(records, progress.total_steps)
        reports = [row for row in metrics.rows if isinstance(row, StepReport) and not isinstance(row, Rewound)]
        graders = _graders_of(held.claim.job)
        steps = news_of_steps(reports, progress.step, total, graders)
        step = max([progress.step, *(number for number, _ in steps)])
        told = tell_run([record.event for record in records], steps, graders, progress.held_out.model_step)
        held_out = progress.held_out
        for record in records:
            held_out = held_out.note(record.event)
        progress = replace(
            progress, events=events.cursor, metrics=metrics.cursor, step=step, total_steps=total, held_out=held_out
        )
        held.progress = note_pace(progress, reports, run.metrics.stat().st_mtime) if reports else progress
        results = self._results(held.claim)
        best = results.keep_best(held_out) if records else None
        kept = self._claims.tell(held.claim, *told, progress=write_progress(held.progress), results=best)
        if best is not None:
            results.remove_others(kept)

    def _status_of(self, held: HeldJob, run: RunDirectory) -> RunStatus | None:
        """None: the latest process has written nothing, or its ending was judged."""
        begun_with = held.progress.begun_with
        if begun_with is None or not run.events.exists() or run.events.stat().st_size <= begun_with:
            return None
        return find_status(run)

    def _places(self, claim: Claim) -> tuple[Path, RunDirectory]:
        folder = self._folder / claim.job.id
        return folder, RunDirectory(path=folder / "run")

    def _results(self, claim: Claim) -> JobResults:
        return JobResults(
            job=claim.job, data=self._folder.parent, folder=self._folder / claim.job.id, files=self._files
        )


def _graders_of(job: Job) -> dict[str, str]:
    method = job.request["method"]
    reinforcement = method.get("reinforcement") if isinstance(method, dict) else None
    return grader_types(reinforcement.get("grader") if isinstance(reinforcement, dict) else None)


def _total_steps(records: list[EventRecord], before: int | None) -> int | None:
    """How many steps the run has, by the last event that says so."""
    for record in reversed(records):
        match record.event:
            case TrainingStarted(steps=steps) | TrainingResumed(steps=steps):
                return steps
    return before


def _budget_words(budget: Budget) -> list[str]:
    steps = [] if budget.max_steps is None else ["--max-steps", str(budget.max_steps)]
    return [*steps, *([] if budget.max_minutes is None else ["--max-minutes", str(budget.max_minutes)])]

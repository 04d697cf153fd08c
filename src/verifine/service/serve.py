"""The service of one machine: its parts put together, and run until it is told to stop."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import psutil

from verifine.config.memory import SAFE_SHARE
from verifine.errors import ConfigError
from verifine.machine.cores import read_cores
from verifine.machine.disk import LOCAL_DISK
from verifine.machine.memory import read_unused
from verifine.runs.directory import RunDirectory
from verifine.runs.heartbeat import SAME_START_S, find_process_start
from verifine.runs.lock import hold_file
from verifine.service.access.address import Certificate, ServiceAddress
from verifine.service.access.audit import AuditStore
from verifine.service.access.key_store import KeyStore
from verifine.service.access.local_key import KEY_FILE, keep_local_key
from verifine.service.child import Children
from verifine.service.compute import build_environment, share_compute
from verifine.service.database import Database, migrate
from verifine.service.database.owners import ensure_owner
from verifine.service.endpoints.model import find_servable
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.endpoints.process import EndpointStarter
from verifine.service.files import FileStore
from verifine.service.folder import data_folder, database_url, make_data_folder
from verifine.service.http.app import READING, ServiceParts, build_service
from verifine.service.http.site import Site
from verifine.service.inspection.inspector import Inspector
from verifine.service.inspection.preview import RunPreviews
from verifine.service.jobs.claims import JobClaims
from verifine.service.jobs.file_question import ask_child
from verifine.service.jobs.job import Job
from verifine.service.jobs.needs import NO_MEMORY, MachineRoom, Shortage, find_job_shortage, read_room
from verifine.service.jobs.store import JobStore
from verifine.service.jobs.validation import JobValidator
from verifine.service.limits import ServiceLimits
from verifine.service.models.bases import catalogue_models, folder_model
from verifine.service.models.store import ModelStore
from verifine.service.run_views.marks import MarkStore
from verifine.service.run_views.run_index import RunIndex
from verifine.service.run_views.sources import RunSources
from verifine.service.supervisor.processes import RecordedProcesses
from verifine.service.supervisor.supervisor import Supervisor
from verifine.service.trials.question import try_grader_in_child
from verifine.service.trials.study import study_in_child
from verifine.wire.server import AppServer, address_of, listen_at

_LOG = logging.getLogger(__name__)

TICK_S = 0.5
"""How often the supervisor looks at its job."""
UNREAD_S = 30.0
"""How long a client may leave an answer unread."""
JOBS = "jobs"
"""The folder of the folders of jobs."""
STOP_S = 10.0
"""How long answers may still take when the service is to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What `verifine serve` is told."""

    address: ServiceAddress = field(default_factory=ServiceAddress)
    data: Path | None = None
    """None: `service` in the user's cache folder."""
    database: str | None = None
    """None: SQLite in `data`."""
    folders: Mapping[str, Path] = field(default_factory=dict)
    """Models beside those of the catalogue, by their names."""
    runs: Path | None = None
    """A folder with runs of the command line, to be shown as well; None: only jobs are."""
    limits: ServiceLimits = field(default_factory=ServiceLimits)


class JobService:
    """A service that has its address. It is run once. Jobs go on when it ends."""

    def __init__(self, options: ServeOptions, environment: Mapping[str, str]) -> None:
        """Raises VerifineError: the address or the database cannot be used, or another service is at this folder."""
        address = options.address
        address.check()
        data = data_folder(options.data, environment)
        if options.runs is not None and not options.runs.is_dir():
            raise ConfigError(f"--runs {options.runs}: there is no such folder")
        make_data_folder(data)
        with ExitStack() as opened:
            opened.enter_context(
                hold_file(data / ".lock", f"{data}: another service is at this folder; stop it, or give another --data")
            )
            database = Database(options.database or database_url(data))
            opened.callback(database.close)
            workers = _Workers.of(opened, environment, data, options.limits, self._free_bytes)
            parts = _open_parts(options, database, data, workers)
            self._files, jobs, ask = parts.files, data / JOBS, partial(ask_child, workers.checks)
            self._validator = JobValidator(parts.jobs, parts.files, parts.models, jobs, ask)
            self._supervisor = Supervisor(
                claims=JobClaims(database, holder_name(), time.time),
                processes=workers.jobs,
                files=parts.files,
                folder=jobs,
                is_gone=is_gone,
                look_for_shortage=partial(_find_shortage, workers.pool),
                now=time.monotonic,
            )
            self._keys = parts.keys
            self._listener = opened.enter_context(listen_at(address.host, address.port, UNREAD_S))
            start_token = None if address.is_for_others else secrets.token_urlsafe(32)
            site = Site(hosts=address.hosts, is_secure=address.is_secure, start_token=start_token)
            app = build_service(parts, site=site, is_stopping=lambda: self._server.is_stopping)
            self._server = AppServer(app, STOP_S, certificate=_files_of(address.certificate))
            self._opened = opened.pop_all()
        self.address = address_of(self._listener, is_secure=address.certificate is not None)
        self.key_file = None if address.is_for_others else data / KEY_FILE
        """Has the key of the local owner; None: others ask, who have keys of their own."""
        self.page = None if start_token is None else f"{self.address}/session?token={start_token}"
        """Where a browser signs in, for as long as the service runs; None: with a key only."""
        self._stopped = threading.Event()

    def run(self) -> None:
        """Until SIGTERM or Ctrl-C."""
        supervising = threading.Thread(target=self._repeat, args=(self._supervisor.tick,), name="supervisor")
        # Nobody waits for the end of this one: the files of a job may take minutes to read.
        validating = threading.Thread(target=self._repeat, args=(self._tend_files,), name="validator", daemon=True)
        with self._opened:
            supervising.start()
            validating.start()
            try:
                self._server.run(self._listener)
            finally:
                self._stopped.set()
                supervising.join()

    def close(self) -> None:
        """In place of `run`."""
        self._opened.close()

    def _free_bytes(self) -> int:
        """What an endpoint may take of the memory: what a job has been promised is not free."""
        return max(0, round(SAFE_SHARE * read_unused()) - self._supervisor.expected_bytes())

    def _repeat(self, work: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                work()
            except Exception:  # noqa: BLE001 - whatever one job is, the others go on
                _LOG.exception("a part of the service failed, and tries again")
            self._stopped.wait(TICK_S)

    def _tend_files(self) -> None:
        self._files.remove_expired()
        self._keys.remove_ended_sessions()
        self._validator.validate_next()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workers:
    """What starts the processes that compute."""

    jobs: RecordedProcesses
    children: Children
    checks: Children
    """Those that read the files of jobs: nobody ends them, since a job does not fail when the service stops."""
    pool: EndpointPool
    job_threads: int

    @classmethod
    def of(
        cls,
        opened: ExitStack,
        environment: Mapping[str, str],
        data: Path,
        limits: ServiceLimits,
        free_bytes: Callable[[], int],
    ) -> _Workers:
        shares = share_compute(read_cores(), environment)
        starter = EndpointStarter(data / "endpoints", build_environment(environment, shares.endpoint), limits)
        opened.callback(starter.close)
        return cls(
            jobs=RecordedProcesses(build_environment(environment, shares.job)),
            children=Children(environment=build_environment(environment, shares.child)),
            checks=Children(environment=build_environment(environment, shares.child)),
            pool=EndpointPool(starter, limits, free_bytes),
            job_threads=shares.job,
        )


def _open_parts(options: ServeOptions, database: Database, data: Path, workers: _Workers) -> ServiceParts:
    migrate(database)
    ensure_owner(database)
    keys = KeyStore(database, time.time)
    if not options.address.is_for_others:
        keep_local_key(keys, data / KEY_FILE)
    elif not keys.has_usable():
        raise ConfigError("nobody could ask this service: make a key with `verifine keys create` first")
    files, jobs = FileStore(database, data / "files", time.time), JobStore(database, time.time)
    files.remove_drafts()
    LOCAL_DISK.remove(data / READING)
    own = {name: folder_model(name, folder) for name, folder in options.folders.items()}
    models = ModelStore(database, data, {**catalogue_models(), **own}, time.time)
    models.remove_deleted()
    return ServiceParts(
        files=files,
        jobs=jobs,
        runs=RunSources(jobs, data / JOBS, None if options.runs is None else RunIndex(options.runs.absolute())),
        marks=MarkStore(database, time.time),
        previews=_previews(jobs, files, models, data, workers),
        study=partial(study_in_child, workers.children),
        children=workers.children,
        folder=data,
        models=models,
        pool=workers.pool,
        find_servable=partial(find_servable, models),
        try_grader=partial(try_grader_in_child, workers.children),
        keys=keys,
        audit=AuditStore(database, time.time),
        limits=options.limits,
    )


def _find_shortage(pool: EndpointPool, job: Job, run: RunDirectory) -> Shortage | None:
    """What a job lacks now, beside what models may still take; for its memory, those that nobody asks are unloaded."""

    def read(folder: Path) -> MachineRoom:
        room = read_room(folder)
        return replace(room, free_memory=max(room.free_memory - pool.promised_bytes, 0))

    shortage = find_job_shortage(job, run, read)
    if shortage is not None and shortage.code == NO_MEMORY and not shortage.is_final:
        pool.give_way()
    return shortage


def _previews(jobs: JobStore, files: FileStore, models: ModelStore, data: Path, workers: _Workers) -> RunPreviews:
    folder = data / READING
    validator = JobValidator(jobs, files, models, folder, partial(ask_child, workers.children))
    inspector = Inspector(workers.children.ask, data / "inspections", workers.job_threads)
    return RunPreviews(validator, models, inspector, folder)


def _files_of(certificate: Certificate | None) -> tuple[Path, Path] | None:
    return None if certificate is None else (certificate.chain, certificate.private_key)


def holder_name() -> str:
    """This process, as no other is ever called."""
    me = psutil.Process()
    return f"{socket.gethostname()} {me.pid} {me.create_time():.2f}"


def is_gone(holder: str) -> bool:
    """Whether that process of this machine has ended. Of other machines nothing is known."""
    host, pid, started = holder.rsplit(" ", 2)
    if host != socket.gethostname():
        return False
    found = find_process_start(int(pid))
    return found is None or abs(found - float(started)) >= SAME_START_S

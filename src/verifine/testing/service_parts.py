"""A service over HTTP, of which a test says what it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from verifine.service.access.audit import AuditStore
from verifine.service.access.key import KeyText
from verifine.service.access.key_store import KeyStore
from verifine.service.access.scopes import SCOPES
from verifine.service.child import ChildLimits, Children
from verifine.service.database import Database
from verifine.service.database.owners import LOCAL
from verifine.service.endpoints.model import find_servable
from verifine.service.endpoints.pool import EndpointPool
from verifine.service.files import FileStore
from verifine.service.http.app import LOOPBACK, ServiceParts, build_service
from verifine.service.http.site import Site
from verifine.service.inspection.inspector import Inspector
from verifine.service.inspection.preview import RunPreviews
from verifine.service.jobs.file_check import check_files
from verifine.service.jobs.store import JobStore
from verifine.service.jobs.validation import JobValidator
from verifine.service.limits import ServiceLimits
from verifine.service.models.bases import TrainableModel
from verifine.service.models.store import ModelStore
from verifine.service.run_views.marks import MarkStore
from verifine.service.run_views.run_index import RunIndex
from verifine.service.run_views.sources import RunSources
from verifine.service.trials.grading import carry_out_trial
from verifine.service.trials.studying import study
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.wire.server import address_of, listen_at


def make_parts(
    database: Database,
    folder: Path,
    *,
    now: Callable[[], float],
    key: str,
    limits: ServiceLimits,
    endpoints: FakeEndpoints,
    children: Children,
    inspect: Callable[[str, bytes, ChildLimits], bytes],
) -> ServiceParts:
    """The parts of a service with the model `tiny`, in `folder`. It studies and grades in its own process.

    `key`: the local owner's, for everything; empty: there is none.
    """
    tiny = TrainableModel(name="tiny", source=str(folder / "tiny"), parameters=1000)
    jobs, files = JobStore(database, now), FileStore(database, folder / "files", now)
    models = ModelStore(database, folder, {"tiny": tiny}, now)
    keys, own = KeyStore(database, now), KeyText.parse(key)
    if own is not None:
        keys.adopt(LOCAL, own, SCOPES)
    validator = JobValidator(jobs, files, models, folder / "reading", check_files)
    inspector = Inspector(inspect, folder / "inspections")
    return ServiceParts(
        files=files,
        jobs=jobs,
        runs=RunSources(jobs, folder / "jobs", RunIndex(folder / "runs")),
        marks=MarkStore(database, now),
        previews=RunPreviews(validator, models, inspector, folder / "reading"),
        study=study,
        children=children,
        folder=folder,
        models=models,
        pool=EndpointPool(endpoints, limits, lambda: 1 << 40),
        find_servable=partial(find_servable, models),
        try_grader=carry_out_trial,
        keys=keys,
        audit=AuditStore(database, now),
        limits=limits,
    )


@contextmanager
def serve_parts(parts: ServiceParts, port: int = 0, site: Site = LOOPBACK) -> Iterator[str]:
    """The address of a service of these parts; port 0: any free one."""
    app = build_service(parts, site=site, is_stopping=lambda: server.should_exit)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    with listen_at("127.0.0.1", port, 30) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield address_of(listener)
        finally:
            server.should_exit = True
            thread.join()

"""What a run has left behind, as it is written down: within the transaction of whoever holds its job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from verifine.service.database.owners import next_seq
from verifine.service.database.paging import rows_of
from verifine.service.database.tables import JOB_CHECKPOINTS, JOBS, MODELS
from verifine.service.files import FileStore
from verifine.service.files.draft import FileDraft
from verifine.service.files.record import RESULTS
from verifine.service.identifiers import new_id
from verifine.service.jobs.changes import add_news
from verifine.service.jobs.job import Job, JobNews
from verifine.service.models.model import ModelKind
from verifine.service.models.names import name_checkpoint, name_tuned
from verifine.service.models.usage import find_user
from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCheckpoint:
    """A checkpoint that lies where it stays."""

    step: int
    folder: str
    """Relative to the service's folder."""
    metrics: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTuned:
    """A model that lies where it stays."""

    step: int
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewResultFile:
    """A file that is written, and gets its place in the transaction."""

    filename: str
    draft: FileDraft
    store: FileStore

    def insert(self, connection: Connection, owner_id: str) -> str:
        """Its id. Raises DiskError."""
        added = self.store.insert(connection, owner_id, self.draft, filename=self.filename, purpose=RESULTS)
        return added.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResults:
    """What is to be written down of a run. What is written already stays as it is."""

    is_adapter: bool
    best: tuple[NewCheckpoint, ...] | None = None
    """All that are best on held-out data now; those that were are given up unless something uses them. None: as
    before."""
    paused: NewCheckpoint | None = None
    tuned: NewTuned | None = None
    files: tuple[NewResultFile, ...] = ()


def write_results(connection: Connection, job: Job, results: RunResults, at: int) -> None:
    """Adds rows and tells the owner of them. The caller holds the job's row."""
    base = _base_of(connection, str(job.request["model"]))
    suffix = job.request.get("suffix")
    tuned = name_tuned(base, job.owner_id, None if suffix is None else str(suffix), job.id)
    row = {"owner_id": job.owner_id, "job_id": job.id, "base": base, "is_adapter": results.is_adapter, "created_at": at}
    checkpoints = {each.step: each for each in results.best or ()}
    if results.paused is not None:
        checkpoints[results.paused.step] = results.paused
    for step, checkpoint in sorted(checkpoints.items()):
        name = name_checkpoint(tuned, step)
        seq = _add_model(connection, {**row, "id": name, "kind": ModelKind.CHECKPOINT, **_place(checkpoint)})
        if seq is not None:
            _tell_checkpoint(connection, job.id, checkpoint, name, seq, at)
    if results.paused is not None:
        kept = update(JOB_CHECKPOINTS).where(
            JOB_CHECKPOINTS.c.job_id == job.id, JOB_CHECKPOINTS.c.step == results.paused.step
        )
        connection.execute(kept.values(is_pause=True))
    if results.best is not None:
        _give_up_others(connection, job, [each.step for each in results.best], at)
    if results.tuned is not None:
        _add_model(connection, {**row, "id": tuned, "kind": ModelKind.TUNED, **_place(results.tuned)})
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(fine_tuned_model=tuned))
        add_news(connection, job.id, JobNews(message=f"New fine-tuned model created: {tuned}"), at)
    if results.files:
        ids = [file.insert(connection, job.owner_id) for file in results.files]
        connection.execute(update(JOBS).where(JOBS.c.id == job.id).values(result_files=ids))


def live_steps(connection: Connection, job_id: str) -> set[int]:
    """The steps of a job whose checkpoints are kept."""
    steps = select(JOB_CHECKPOINTS.c.step).join(MODELS).where(JOB_CHECKPOINTS.c.job_id == job_id)
    return set(connection.execute(steps.where(MODELS.c.deleted_at.is_(None))).scalars())


def _place(new: NewCheckpoint | NewTuned) -> dict[str, object]:
    return {"step": new.step, "folder": new.folder}


def _base_of(connection: Connection, name: str) -> str:
    """The name of the model that a run from `name` loads first: a checkpoint belongs to the base of its own run."""
    row = connection.execute(rows_of(MODELS, id=name, kind=ModelKind.CHECKPOINT)).mappings().first()
    return name if row is None else str(row["base"])


def _add_model(connection: Connection, row: Mapping[str, object]) -> int | None:
    """Its `seq`; None: it is there, or was and has been deleted."""
    seq = next_seq(connection, str(row["owner_id"]))
    if connection.execute(rows_of(MODELS, id=row["id"])).first() is not None:
        return None
    connection.execute(insert(MODELS).values(seq=seq, **row))
    return seq


def _tell_checkpoint(
    connection: Connection, job_id: str, checkpoint: NewCheckpoint, name: str, seq: int, at: int
) -> None:
    row = {
        "id": new_id("ftckpt_"),
        "job_id": job_id,
        "seq": seq,
        "created_at": at,
        "step": checkpoint.step,
        "model_id": name,
        "metrics": dict(checkpoint.metrics),
        "is_pause": False,
    }
    connection.execute(insert(JOB_CHECKPOINTS).values(row))
    message = f"Checkpoint created at step {checkpoint.step}"
    add_news(connection, job_id, JobNews(message=message, data={"fine_tuned_model_checkpoint": name}), at)


def _give_up_others(connection: Connection, job: Job, steps: Collection[int], at: int) -> None:
    next_seq(connection, job.owner_id)  # holds the owner's row, so that no job is made from one meanwhile
    others = (
        select(JOB_CHECKPOINTS.c.model_id)
        .join(MODELS)
        .where(
            JOB_CHECKPOINTS.c.job_id == job.id,
            JOB_CHECKPOINTS.c.step.not_in(list(steps)),
            JOB_CHECKPOINTS.c.is_pause.is_(False),
            MODELS.c.deleted_at.is_(None),
        )
    )
    for name in connection.execute(others).scalars().all():
        if find_user(connection, job.owner_id, name) is None:
            connection.execute(update(MODELS).where(MODELS.c.id == name).values(deleted_at=at))

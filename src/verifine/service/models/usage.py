"""What still needs a model, so that it cannot be deleted."""

from __future__ import annotations

from sqlalchemy import Connection, select

from verifine.service.database.tables import JOBS, MODELS
from verifine.service.jobs.states import JobState
from verifine.service.models.model import ModelKind


def find_user(connection: Connection, owner_id: str, name: str) -> str | None:
    """What needs the model, in words; None: nothing does."""
    unfinished = [state for state in JobState if not state.is_final]
    job = (
        select(JOBS.c.id)
        .where(JOBS.c.owner_id == owner_id, JOBS.c.state.in_(unfinished), JOBS.c.request["model"].as_string() == name)
        .limit(1)
    )
    job_id = connection.execute(job).scalar()
    if job_id is not None:
        return f"the job {job_id} starts from it; cancel the job first"
    dependent = (
        select(MODELS.c.id)
        .where(MODELS.c.base == name, MODELS.c.kind == ModelKind.CHECKPOINT, MODELS.c.deleted_at.is_(None))
        .limit(1)
    )
    checkpoint = connection.execute(dependent).scalar()
    return None if checkpoint is None else f"the checkpoint {checkpoint} is loaded with it; delete that first"

"""Checkpoints of jobs, as OpenAI's clients read them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, JsonValue

from verifine.service.database.paging import Page
from verifine.service.models.model import JobCheckpoint


class JobCheckpointObject(BaseModel):
    """A checkpoint."""

    id: str
    object: Literal["fine_tuning.job.checkpoint"] = "fine_tuning.job.checkpoint"
    created_at: int
    fine_tuning_job_id: str
    fine_tuned_model_checkpoint: str
    """Its name as a model."""
    step_number: int
    metrics: dict[str, JsonValue]
    """`train_reward_mean` of the step, and `valid_reward_mean` on held-out data; null: not evaluated at this step."""

    @classmethod
    def of(cls, checkpoint: JobCheckpoint) -> Self:
        return cls(
            id=checkpoint.id,
            created_at=checkpoint.created_at,
            fine_tuning_job_id=checkpoint.job_id,
            fine_tuned_model_checkpoint=checkpoint.model_id,
            step_number=checkpoint.step,
            metrics={"step": checkpoint.step, **checkpoint.metrics},
        )


class JobCheckpointList(BaseModel):
    """A page of checkpoints, newest first."""

    object: Literal["list"] = "list"
    data: list[JobCheckpointObject]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, page: Page[JobCheckpoint]) -> Self:
        data = [JobCheckpointObject.of(checkpoint) for checkpoint in page.items]
        first_id, last_id = (data[0].id, data[-1].id) if data else (None, None)
        return cls(data=data, first_id=first_id, last_id=last_id, has_more=page.has_more)

"""Checkpoints of jobs, as OpenAI's clients read them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import JsonValue

from verifine.service.http.list_page import ListedObject
from verifine.service.models.model import JobCheckpoint


class JobCheckpointObject(ListedObject):
    """A checkpoint."""

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

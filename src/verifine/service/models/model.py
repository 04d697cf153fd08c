"""Models that requests may name, and the checkpoints of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sqlalchemy import RowMapping

from verifine.types import Json


class ModelKind(StrEnum):
    """What a job has left."""

    TUNED = "tuned"
    """The model of its end: a folder as transformers reads it, and with LoRA `adapter/` in it, as peft does."""
    CHECKPOINT = "checkpoint"
    """Weights of a step: a checkpoint in a folder that is read as a run directory is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedModel:
    """A model that a job has left, as the database has it."""

    id: str
    """The name that requests have."""
    owner_id: str
    seq: int
    created_at: int
    job_id: str
    kind: ModelKind
    step: int
    """The step that its weights are from."""
    base: str
    """The name of the model that its run loaded first."""
    is_adapter: bool
    """Whether only LoRA adapters were trained."""
    folder: str
    """Relative to the service's folder."""
    deleted_at: int | None

    @classmethod
    def of(cls, row: RowMapping) -> OwnedModel:
        return cls(**{**row, "kind": ModelKind(row["kind"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedModel:
    """A model under the name that requests have for it, and what is to be loaded."""

    name: str
    owner_id: str | None
    """None: every owner may use it."""
    created_at: int
    """0: not known."""
    base: str
    """What is loaded first, as `model.name` of a RunConfig has it: a name of the catalogue, or a folder with all
    weights."""
    parameters: int
    """How many weights it has, without adapters."""
    adapter: Path | None = None
    """LoRA adapters beside the base, in peft's format."""
    checkpoint: Path | None = None
    """A checkpoint of a run with this base, as `verifine endpoint` and `model.start_from` take it."""
    merged: Path | None = None
    """A folder with all weights of a tuned model, its adapters merged in; without adapters it is also `base`."""

    @property
    def source(self) -> str:
        """What a process loads for it alone: a checkpoint, or what `model.name` of a RunConfig may be."""
        return str(self.checkpoint or self.merged or self.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCheckpoint:
    """A checkpoint that is kept."""

    id: str
    job_id: str
    seq: int
    created_at: int
    step: int
    model_id: str
    """Its name as a model."""
    metrics: Mapping[str, Json]
    is_pause: bool
    """Whether the job was paused there; otherwise it is one of the best."""

    @classmethod
    def of(cls, row: RowMapping) -> JobCheckpoint:
        return cls(**row)

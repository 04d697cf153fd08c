"""Everything a run continues from, beside its weights and optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from pydantic import TypeAdapter, ValidationError

from verifine.checkpoints.store import Checkpoint, Draft
from verifine.checkpoints.tensors import snapshot
from verifine.config.memory import MemoryPlan
from verifine.errors import CheckpointError
from verifine.learner.learner import LearnerState
from verifine.learner.micro_batch_limit import MicroBatchLimit
from verifine.training.best import Best
from verifine.training.budget import UnscorableBudget
from verifine.training.health import HealthCounters
from verifine.training.trainer import Progress
from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run between two steps."""

    memory: MemoryPlan
    """Kept on resume, because other micro-batches or another cache would round differently."""
    progress: Progress = field(default_factory=Progress)
    seconds: float = 0.0
    """The time of training so far, including evaluations."""
    evaluation_s: float = 0.0
    """How long one evaluation takes."""
    grading: UnscorableBudget = field(default_factory=UnscorableBudget)
    health: HealthCounters = field(default_factory=HealthCounters)
    best: Best = field(default_factory=Best)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What a checkpoint holds as JSON."""

    run: RunState
    updates: int
    limit: MicroBatchLimit | None


_FACTS = TypeAdapter(_Facts)


def to_draft(state: RunState, learner: LearnerState) -> Draft:
    """A checkpoint that borrows the learner's tensors."""
    # Messages of graders may quote anything, and a checkpoint holds numbers only.
    counts = replace(state, grading=replace(state.grading, examples=()))
    facts = _Facts(run=counts, updates=learner.updates, limit=learner.limit)
    return Draft(
        step=state.progress.step,
        tensors=snapshot(learner.tensors),
        facts=cast("Mapping[str, Json]", _FACTS.dump_python(facts, mode="json")),
    )


def from_checkpoint(checkpoint: Checkpoint) -> tuple[RunState, LearnerState]:
    """The run state and learner state that `to_draft` was given.

    Raises:
        CheckpointError: it was written by another version of Verifine.
    """
    try:
        facts = _FACTS.validate_python(checkpoint.facts)
    except ValidationError as error:
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} was written by another version of Verifine; use that one, or "
            "start a new run from its weights (model.start_from)"
        ) from error
    return facts.run, LearnerState(tensors=checkpoint.tensors, updates=facts.updates, limit=facts.limit)

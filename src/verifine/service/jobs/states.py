"""The states of a job and the ways between them: the only place with these words."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class JobState(StrEnum):
    """Where a job stands."""

    VALIDATING = "validating"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return not TRANSITIONS[self]


_S = JobState

TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _S.VALIDATING: frozenset({_S.QUEUED, _S.FAILED, _S.CANCELLED}),
        _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELLED}),
        # Back to the queue after a crash; paused by itself where the disk is full or the budget is used up.
        _S.RUNNING: frozenset({_S.QUEUED, _S.PAUSING, _S.PAUSED, _S.CANCELLING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
        # A run may end before it sees the request.
        _S.PAUSING: frozenset({_S.PAUSED, _S.CANCELLING, _S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
        _S.CANCELLING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.CANCELLED}),
        _S.PAUSED: frozenset({_S.QUEUED, _S.CANCELLED}),
        _S.SUCCEEDED: frozenset(),
        _S.FAILED: frozenset(),
        _S.CANCELLED: frozenset(),
    }
)
"""Where each state may lead."""

CLAIMED = (_S.RUNNING, _S.PAUSING, _S.CANCELLING)
"""The states in which a supervisor holds a job."""

OPENAI_STATUS: Mapping[JobState, str] = MappingProxyType(
    {
        _S.VALIDATING: "validating_files",
        _S.QUEUED: "queued",
        _S.RUNNING: "running",
        _S.PAUSING: "running",
        _S.PAUSED: "paused",
        _S.CANCELLING: "running",
        _S.SUCCEEDED: "succeeded",
        _S.FAILED: "failed",
        _S.CANCELLED: "cancelled",
    }
)
"""What OpenAI's wire says for each."""

"""What is known of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import RowMapping

UploadPurpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
ResultPurpose = Literal["fine-tune-results"]
Purpose = UploadPurpose | ResultPurpose

RESULTS: ResultPurpose = "fine-tune-results"
"""Of files that jobs leave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedFile:
    """A file of an owner."""

    id: str
    owner_id: str
    seq: int
    created_at: int
    filename: str
    """What the owner calls it, for people and for the format that its end names; it is never a path."""
    purpose: Purpose
    bytes: int
    sha256: str
    """Of its content, which is kept once for all files of an owner that have it."""
    expires_at: int | None
    """None: it stays until it is deleted."""

    @classmethod
    def of(cls, row: RowMapping) -> OwnedFile:
        return cls(**{name: value for name, value in row.items() if name != "deleted_at"})

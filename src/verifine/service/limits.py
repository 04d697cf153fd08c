"""What the service takes at most: all limits in one place, with their defaults."""

from __future__ import annotations

from pydantic import Field

from verifine.config.graders import Schema


class ServiceLimits(Schema):
    """Raise one with `verifine serve NAME=VALUE`, or in Python with `ServiceLimits(NAME=VALUE)`."""

    file_bytes: int = Field(default=512 << 20, ge=1, description="An uploaded file.")
    upload_seconds: float = Field(default=3600, gt=0, description="How long an upload may take.")
    body_bytes: int = Field(default=4 << 20, ge=1, description="The body of any other request.")
    body_seconds: float = Field(default=30, gt=0, description="How long that may take to arrive.")
    endpoint_cache_bytes: int = Field(
        default=1 << 30, ge=1, description="Memory for keys and values of a model that answers, at least of one answer."
    )
    endpoint_idle_seconds: float = Field(
        default=900, gt=0, description="How long a model that nobody asks stays in memory."
    )
    endpoint_load_seconds: float = Field(
        default=1800, gt=0, description="How long a model may take to be fetched and loaded."
    )
    answer_seconds: float = Field(default=600, gt=0, description="How long an answer may take, its wait included.")
    waiting_requests: int = Field(
        default=64, ge=1, description="Requests that wait for a model to be loaded; the next one is answered with 429."
    )
    streams: int = Field(default=200, ge=1, description="Clients that follow jobs at the same time.")
    owner_streams: int = Field(default=50, ge=1, description="Of these, those of one owner.")
    owner_jobs: int = Field(default=100, ge=1, description="Jobs of an owner that have not ended.")
    owner_file_bytes: int = Field(default=100 << 30, ge=1, description="The uploaded files of an owner, all together.")

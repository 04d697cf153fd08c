"""What the service takes at most: all limits in one place, with their defaults."""

from __future__ import annotations

from pydantic import Field

from verifine.config.graders import Schema


class ServiceLimits(Schema):
    """Programs that build the service raise one with `ServiceLimits(NAME=VALUE)`."""

    file_bytes: int = Field(default=512 << 20, ge=1, description="An uploaded file.")
    upload_seconds: float = Field(default=3600, gt=0, description="How long an upload may take.")
    body_bytes: int = Field(default=4 << 20, ge=1, description="The body of any other request.")
    body_seconds: float = Field(default=30, gt=0, description="How long that may take to arrive.")

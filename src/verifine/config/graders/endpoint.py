"""A web service of the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.schema import Address
from verifine.config.graders.traits import GraderTraits, Recognition


class EndpointGraderConfig(SingleGraderConfig):
    """Asks a web service of your own: it gets the sample and the item as JSON and answers `{"score": number}`."""

    judges_format: ClassVar[bool] = False
    type: Literal["endpoint"]
    name: str = "endpoint"
    url: Address = Field(description="Where to POST to.")
    headers: Mapping[str, str] = Field(default={}, description="Sent along; no secrets, since the config is saved.")
    token_env: str | None = Field(
        default=None, description="The environment variable with a token to send as `Authorization: Bearer`."
    )
    secret_env: str | None = Field(
        default=None,
        description="The environment variable with the secret (whsec_...) that requests are signed with, by the "
        "Standard Webhooks specification.",
    )
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="Seconds one request may take.")
    max_concurrency: int = Field(default=8, ge=1, le=256, description="Requests in progress at once.")
    max_retries: int = Field(default=3, ge=0, le=10, description="Retries of a failed request.")

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=1,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=False,
            passing_score=None,
        )

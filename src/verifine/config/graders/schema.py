"""What every section of the configuration is made of, and the limits they share."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from verifine.config.graders.template import check_template


class Schema(BaseModel):
    """Strict: an unknown field is an error, and a parsed value does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _checked(template: str) -> str:
    check_template(template)
    return template


Template = Annotated[str, AfterValidator(_checked)]
"""Text in which `{{ item.field }}` and `{{ sample.output_text }}` are filled in."""


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address holds a password, and the configuration is saved; name an environment variable")
    if parts.query:
        raise ValueError("the address has a query, which may hold a key, and the configuration is saved; leave it out")
    return url


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_without_secrets)]
"""The address of a web service."""

Share = Annotated[float, Field(ge=0, le=1)]

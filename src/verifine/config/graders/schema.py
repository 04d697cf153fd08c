"""What every section of the configuration is made of, and the limits they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from verifine.config.graders.template import check_template


class Schema(BaseModel):
    """Strict at the border: an unknown field is an error, and a parsed value does not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _checked(template: str) -> str:
    check_template(template)
    return template


Template = Annotated[str, AfterValidator(_checked)]
"""Text in which `{{ item.field }}` and `{{ sample.output_text }}` are filled in."""

Share = Annotated[float, Field(ge=0, le=1)]

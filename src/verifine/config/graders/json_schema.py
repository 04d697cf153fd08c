"""An answer in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, JsonValue

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import INPUT
from verifine.config.graders.schema import Template
from verifine.config.graders.traits import GraderTraits, Recognition


class JsonSchemaGraderConfig(SingleGraderConfig):
    """1 if the answer is JSON that fits a schema, else 0."""

    judges_format: ClassVar[bool] = True
    type: Literal["json_schema"]
    name: str = "json_schema"
    input: Template = INPUT
    json_schema: Mapping[str, JsonValue] = Field(
        description="A JSON Schema (draft 2020-12 unless it says otherwise); references must stay inside it."
    )

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input,),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="it looks at the form alone",
            tags=(),
            passing_score=None,
        )

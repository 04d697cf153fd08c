"""An answer in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import INPUT
from verifine.config.graders.schema import Template
from verifine.config.graders.template import reads_item, reads_sample
from verifine.config.graders.traits import GraderTraits, Recognition


def _kind_of(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<schema>"


GivenSchema = Annotated[
    Annotated[Mapping[str, JsonValue], Tag("<schema>")] | Annotated[Template, Tag("<text>")], Discriminator(_kind_of)
]
"""A JSON Schema, or a template that is filled in with one from the row."""


class JsonSchemaGraderConfig(SingleGraderConfig):
    """1 if the answer is JSON that fits a schema, else 0."""

    judges_format: ClassVar[bool] = True
    type: Literal["json_schema"]
    name: str = "json_schema"
    input: Template = INPUT
    json_schema: GivenSchema = Field(
        description="A JSON Schema (draft 2020-12 unless it says otherwise); references must stay inside it. It may "
        "stand in OpenAI's wrapper {name, strict, schema}. A template such as {{ item.schema }} takes each row's own."
    )

    @field_validator("json_schema")
    @classmethod
    def _schema_is_not_the_models(cls, value: object) -> object:
        if isinstance(value, str) and reads_sample(value):
            raise ValueError("`json_schema` reads the answer, so the model would write its own schema; take the row's")
        return value

    @property
    def is_schema_of_the_row(self) -> bool:
        """Whether each row has a schema of its own."""
        return isinstance(self.json_schema, str) and reads_item(self.json_schema)

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input, self.json_schema) if isinstance(self.json_schema, str) else (self.input,),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="it looks at the form alone",
            tags=(),
            trivial=("{}", "[]", "null", "0", '""'),
            is_exact=False,
            passing_score=None,
        )

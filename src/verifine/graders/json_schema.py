"""Whether the answer is JSON that fits a schema."""

from __future__ import annotations

from verifine.config.graders import JsonSchemaGraderConfig
from verifine.data.strict_json import JsonError, parse_json
from verifine.graders.schema import SchemaValidator
from verifine.graders.template import render
from verifine.types import Grade, Sample


class JsonSchemaGrader:
    """1 if the text is strict JSON and fits, else 0: text that is not JSON is a wrong answer, not a fault."""

    def __init__(self, config: JsonSchemaGraderConfig) -> None:
        """GraderError if it is not a schema, or refers to something outside itself."""
        self._config = config
        self._schema = SchemaValidator(config.json_schema)

    def grade_one(self, sample: Sample) -> Grade:
        try:
            fits = self._schema.fits(parse_json(render(self._config.input, sample)))
        except JsonError:
            fits = False
        return Grade(score=float(fits), parts={self._config.name: float(fits)}, format_ok=fits)

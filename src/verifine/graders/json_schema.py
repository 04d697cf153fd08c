"""Whether the answer is JSON that fits a schema."""

from __future__ import annotations

from functools import lru_cache

from verifine.config.graders import JsonSchemaGraderConfig
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import GraderError
from verifine.graders.sample_error import SampleError
from verifine.graders.schema import SchemaValidator, read_schema
from verifine.graders.template import render
from verifine.types import Grade, GradeFault, Sample


class JsonSchemaGrader:
    """1 if the text is strict JSON and fits, else 0: text that is not JSON is a wrong answer, not a fault."""

    def __init__(self, config: JsonSchemaGraderConfig) -> None:
        """GraderError if it is not a schema, or refers to something outside itself."""
        self._config = config
        given = config.json_schema
        self._schema = None if config.is_schema_of_the_row else SchemaValidator(read_schema(given))

    def grade_one(self, sample: Sample) -> Grade:
        # The schema first: a row with a broken one is unscorable, whatever the answer lacks.
        schema = read_row_schema(self._config, sample) if self._schema is None else self._schema
        try:
            fits = schema.fits(parse_json(render(self._config.input, sample)))
        except JsonError:
            fits = False
        return Grade(score=float(fits), parts={self._config.name: float(fits)}, format_ok=fits)


def read_row_schema(config: JsonSchemaGraderConfig, sample: Sample) -> SchemaValidator:
    """The schema that the template of the config makes of this row.

    Raises:
        SampleError: the row has none, or it cannot be used.
    """
    text = render(str(config.json_schema), sample)
    try:
        return _validator(text)
    except SampleError:
        raise
    except GraderError as error:
        raise SampleError(f"the row's schema cannot be used: {error}", GradeFault.INVALID_VARIABLE) from error


@lru_cache(maxsize=256)
def _validator(text: str) -> SchemaValidator:
    return SchemaValidator(read_schema(text))

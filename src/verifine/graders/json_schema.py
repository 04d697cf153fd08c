"""Whether the answer is JSON that fits a schema."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import JsonSchemaGraderConfig
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import GraderError
from verifine.graders.schema import SchemaTimeoutError, SchemaValidator
from verifine.graders.template import MissingFieldError, render
from verifine.graders.timing import timed
from verifine.types import Grade, GradeFault, Sample


class JsonSchemaGrader:
    """1 if the text is strict JSON and fits, else 0: text that is no JSON is a wrong answer, not a fault."""

    def __init__(self, config: JsonSchemaGraderConfig) -> None:
        """GraderError if the schema is none, or refers to what does not stand in it."""
        self._config = config
        self._schema = SchemaValidator(config.json_schema)

    def grade(self, samples: Sequence[Sample]) -> list[Grade]:
        return [timed(self._grade_one, sample) for sample in samples]

    def close(self) -> None:
        """Nothing is held."""

    def _grade_one(self, sample: Sample) -> Grade:
        try:
            fits = self._schema.fits(parse_json(render(self._config.input, sample)))
        except MissingFieldError as error:
            return error.grade()
        except JsonError:
            fits = False
        except SchemaTimeoutError as error:
            return Grade.unscorable(str(error), GradeFault.UNRESPONSIVE_REWARD)
        except GraderError as error:
            return Grade.unscorable(str(error))
        return Grade(score=float(fits), parts={self._config.name: float(fits)}, format_ok=fits)

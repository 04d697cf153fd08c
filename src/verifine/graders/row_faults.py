"""Whether a row can be graded at all, found without an answer and without running anything."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.config.graders import (
    AnyGrader,
    CodeGraderConfig,
    JsonSchemaGraderConfig,
    MathGraderConfig,
    MultiGraderConfig,
    SingleGrader,
    WeightedGraderConfig,
)
from verifine.config.graders.template import reads_sample
from verifine.graders.code_cases import read_cases
from verifine.graders.json_schema import read_row_schema
from verifine.graders.reference_answers import readable_reference
from verifine.graders.sample_error import SampleError
from verifine.graders.template import render_reference
from verifine.types import Json, Sample


def find_row_fault(config: AnyGrader, item: Mapping[str, Json]) -> str | None:
    """Why no answer to this row can be graded; None: nothing speaks against it.

    It reads what a grader makes of a row before it looks at an answer: the reference, test cases, and a schema of the
    row's own.
    """
    parts = config.graders.values() if isinstance(config, MultiGraderConfig | WeightedGraderConfig) else (config,)
    try:
        for part in parts:
            _read(part, item)
    except SampleError as error:
        return str(error)
    return None


def _read(config: SingleGrader, item: Mapping[str, Json]) -> None:
    """SampleError if the grader cannot use the row."""
    sample = Sample(output_text="", item=item)
    references = [render_reference(each, sample) for each in config.traits.references if not reads_sample(each)]
    match config:
        case CodeGraderConfig():
            read_cases(item, config.tests)
        case MathGraderConfig():
            for reference in references:
                readable_reference(reference)
        case JsonSchemaGraderConfig() if config.is_schema_of_the_row:
            read_row_schema(config, sample)
        case _:
            return

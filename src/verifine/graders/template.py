"""Filling in `{{ item.field }}` and `{{ sample.output_text }}` in a grader's texts.

One pass from left to right: inserted text is not searched again, so an answer that contains `{{ item.gt_answer }}`
stays the text it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from verifine.config.graders.template import TemplateReference, parse_template
from verifine.data.suggestion import did_you_mean
from verifine.graders.sample import sample_fields
from verifine.graders.sample_error import SampleError
from verifine.types import Grade, GradeFault, Json, Sample


class MissingFieldError(SampleError):
    """A template names a field that this sample does not have."""

    def __init__(self, message: str, reference: TemplateReference, fault: GradeFault) -> None:
        super().__init__(message, fault)
        self._is_missing_in_answer = reference.root == "sample"

    def grade(self) -> Grade:
        """0 where the answer lacks the field; unscorable where the row lacks it."""
        return Grade.failed(str(self), self.fault) if self._is_missing_in_answer else super().grade()


def render(template: str, sample: Sample) -> str:
    """The text, with strings put in as they are and all other values as JSON.

    Raises:
        MissingFieldError: if this sample lacks a field; it names the path and the fields that exist.
    """
    return "".join(
        part if isinstance(part, str) else _text(_resolve(part, sample)) for part in parse_template(template)
    )


def _resolve(reference: TemplateReference, sample: Sample) -> Json:
    value: Json = dict(sample.item) if reference.root == "item" else dict(sample_fields(sample))
    for depth, step in enumerate(reference.steps):
        here, wanted = reference.path(depth), reference.path(depth + 1)
        if isinstance(value, list) and isinstance(step, int):
            if step >= len(value):
                raise _missing(reference, f"{wanted} does not exist: {here} has {len(value)} entries")
            value = value[step]
        elif isinstance(value, Mapping) and isinstance(step, str):
            if step not in value:
                hint = did_you_mean(step, value)
                raise _missing(reference, f"{wanted} does not exist{hint}: {here} has {_names(value)}")
            value = value[step]
        else:
            raise _missing(reference, f"{wanted} does not exist: {here} is {_kind(value)}")
        if value is None and wanted == "sample.output_json":
            message = "sample.output_json does not exist: the answer is not JSON"
            raise MissingFieldError(message, reference, GradeFault.SAMPLE_PARSE)
    return value


def _missing(reference: TemplateReference, message: str) -> MissingFieldError:
    return MissingFieldError(message, reference, GradeFault.INVALID_VARIABLE)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names(fields: Mapping[str, Json]) -> str:
    return ", ".join(fields) or "no fields"


def _kind(value: Json) -> str:
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else _short(_text(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

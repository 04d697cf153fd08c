"""Filling in `{{ item.field }}` and `{{ sample.output_text }}` in a grader's texts.

One pass from left to right: inserted text is not searched again, so an answer that contains `{{ item.gt_answer }}`
stays the text it is.
"""

from __future__ import annotations

import json

from verifine.config.graders.template import TemplateReference, parse_template, reads_item, reads_sample
from verifine.data.field_path import DeadEndError, follow
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


def render_reference(template: str, sample: Sample) -> str:
    """The text that a right answer is compared with.

    Raises:
        MissingFieldError: as `render`.
        SampleError: the row has null where the template reads it, or nothing but blanks.
    """
    for part in parse_template(template):
        if isinstance(part, TemplateReference) and part.root == "item" and _resolve(part, sample) is None:
            raise _no_reference(f"{part.path()} is null")
    text = render(template, sample)
    if not text.strip() and reads_item(template) and not reads_sample(template):
        raise _no_reference("the reference is empty")
    return text


def _no_reference(fault: str) -> SampleError:
    return SampleError(
        f"{fault}, so there is no right answer to compare with; fix the row", GradeFault.INVALID_VARIABLE
    )


def _resolve(reference: TemplateReference, sample: Sample) -> Json:
    fields: Json = dict(sample.item) if reference.root == "item" else dict(sample_fields(sample))
    if reference.path(1) == "sample.output_json" and follow(fields, reference.steps[:1]) is None:
        message = "sample.output_json does not exist: the answer is not JSON"
        raise MissingFieldError(message, reference, GradeFault.SAMPLE_PARSE)
    try:
        return follow(fields, reference.steps)
    except DeadEndError as end:
        here, wanted = reference.path(end.depth), reference.path(end.depth + 1)
        message = f"{wanted} does not exist{_found_instead(reference.steps[end.depth], end, here)}"
        raise MissingFieldError(message, reference, GradeFault.INVALID_VARIABLE) from end


def _found_instead(step: str | int, end: DeadEndError, here: str) -> str:
    """What stands at `here`, where a path ends too early, with a hint if a name is near."""
    match end.value, step:
        case dict() as value, str():
            return f"{did_you_mean(step, value)}: {here} has {', '.join(value) or 'no fields'}"
        case list() as value, int():
            return f": {here} has {len(value)} entries"
        case dict() | list() as value, _:
            return f": {here} is {'an object' if isinstance(value, dict) else 'a list'}"
        case value, _:
            why = f", a text that is not JSON: {end.why_text}" if end.why_text else ""
            return f": {here} is {_short(_text(value))}{why}"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

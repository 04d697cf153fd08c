"""`{{ item.field }}` and `{{ sample.output_text }}` in a grader's texts.

One pass from left to right: what is put in is never looked at again, so an answer that contains `{{ item.gt_answer }}`
stays the text it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from verifine.data.suggestion import did_you_mean
from verifine.errors import GraderError
from verifine.graders.sample import SAMPLE_FIELDS, sample_fields
from verifine.types import Json, Sample

_WAY_OUT = "write {{ item.field }} or {{ sample.output_text }}"
_STEP = r"""\.[\w-]+|\[[0-9]{1,9}\]|\['[^']*'\]|\["[^"]*"\]"""
_REFERENCE = re.compile(rf"\s*(?P<root>\w+)(?P<steps>(?:{_STEP})*)\s*")
_EACH_STEP = re.compile(_STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    root: str
    steps: tuple[str | int, ...]

    def path(self, depth: int) -> str:
        """The path as far as `depth` steps, as one would write it."""
        return self.root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps[:depth])


def check(template: str) -> None:
    """GraderError if the template cannot be rendered for any sample."""
    _parse(template)


def render(template: str, sample: Sample) -> str:
    """The text, with strings put in as they are and all other values as JSON.

    Raises:
        GraderError: if this sample lacks a field; it names the path and the fields that exist.
    """
    return "".join(part if isinstance(part, str) else _text(_resolve(part, sample)) for part in _parse(template))


@lru_cache(maxsize=256)
def _parse(template: str) -> tuple[str | _Reference, ...]:
    parts: list[str | _Reference] = []
    position = 0
    while (opening := template.find("{{", position)) >= 0:
        closing = template.find("}}", opening)
        if closing < 0:
            raise GraderError(f'template "{_short(template)}": {{{{ at column {opening + 1} is not closed; {_WAY_OUT}')
        parts += [template[position:opening], _reference(template[opening + 2 : closing])]
        position = closing + 2
    return (*parts, template[position:])


def _reference(text: str) -> _Reference:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise GraderError(f"template: {{{{{text}}}}} is not a path; {_WAY_OUT}")
    root, steps = match["root"], tuple(_step(step) for step in _EACH_STEP.findall(match["steps"]))
    if root not in ("item", "sample"):
        raise GraderError(f"template: {{{{{text}}}}} begins with {root}, not with item or sample; {_WAY_OUT}")
    if not steps:
        raise GraderError(f"template: {{{{{text}}}}} names no field of {root}; {_WAY_OUT}")
    if root == "sample" and steps[0] not in SAMPLE_FIELDS:
        hint = did_you_mean(str(steps[0]), SAMPLE_FIELDS)
        raise GraderError(f"template: sample has no field {steps[0]}{hint}; it has {', '.join(SAMPLE_FIELDS)}")
    return _Reference(root=root, steps=steps)


def _step(text: str) -> str | int:
    if text.startswith("."):
        return text[1:]
    return text[2:-2] if text[1] in "'\"" else int(text[1:-1])


def _resolve(reference: _Reference, sample: Sample) -> Json:
    value: Json = dict(sample.item) if reference.root == "item" else dict(sample_fields(sample))
    for depth, step in enumerate(reference.steps):
        here, wanted = reference.path(depth), reference.path(depth + 1)
        if isinstance(value, list) and isinstance(step, int):
            if step >= len(value):
                raise GraderError(f"{wanted} does not exist: {here} has {len(value)} entries")
            value = value[step]
        elif isinstance(value, Mapping) and isinstance(step, str):
            if step not in value:
                raise GraderError(f"{wanted} does not exist{did_you_mean(step, value)}: {here} has {_names(value)}")
            value = value[step]
        else:
            raise GraderError(f"{wanted} does not exist: {here} is {_kind(value)}")
    return value


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _names(fields: Mapping[str, Json]) -> str:
    return ", ".join(fields) or "no fields"


def _kind(value: Json) -> str:
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else _short(_text(value))


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

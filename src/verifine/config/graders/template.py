"""The grammar of `{{ item.field }}` and `{{ sample.output_text }}` in a grader's texts.

A reference is a root (`item` or `sample`), then steps: `.name`, `["name"]` or `[0]`. There is no logic and no filter.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import lru_cache

from verifine.config.graders.field_path import QUOTED_STEP, Steps, parse_step

TEMPLATE_NAMES = ("item", "sample")
"""What templates call the row and the answer: no field of a row may have such a name."""

SAMPLE_FIELDS = ("output_text", "output_json", "output_tools", "choices", "opened_text", "reasoning_text")
"""What `sample` has: the answer as text, as JSON, its tool calls, and all of it as a list of one chat choice; what the
chat template wrote before the answer, and the thought."""

_HINT = "write {{ item.field }} or {{ sample.output_text }}"
_STEP = rf"\.[\w-]+|{QUOTED_STEP}"
_REFERENCE = re.compile(rf"\s*(?P<root>\w+)(?P<steps>(?:{_STEP})*)\s*")
_EACH_STEP = re.compile(_STEP)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReference:
    """A place in a sample or an item."""

    root: str
    steps: Steps

    def path(self, depth: int | None = None) -> str:
        """The path as far as `depth` steps (None: all), as it is written in a template."""
        steps = self.steps[:depth]
        return self.root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def check_template(template: str) -> None:
    """ValueError if the template cannot be rendered for any sample."""
    parse_template(template)


@lru_cache(maxsize=256)
def parse_template(template: str) -> tuple[str | TemplateReference, ...]:
    """The template's texts and references in turn; the texts are not searched again.

    Raises:
        ValueError: naming what cannot be read.
    """
    parts: list[str | TemplateReference] = []
    position = 0
    while (opening := template.find("{{", position)) >= 0:
        closing = template.find("}}", opening)
        if closing < 0:
            raise ValueError(f'template "{_short(template)}": {{{{ at column {opening + 1} is not closed; {_HINT}')
        parts += [template[position:opening], _reference(template[opening + 2 : closing])]
        position = closing + 2
    return (*parts, template[position:])


def is_output_text(template: str) -> bool:
    """Whether the template is the text of the answer and nothing else."""
    parts = [part for part in parse_template(template) if part]
    return parts == [TemplateReference(root="sample", steps=("output_text",))]


def reads_sample(template: str) -> bool:
    """Whether the template holds any of the answer."""
    return _reads(template, "sample")


def reads_item(template: str) -> bool:
    """Whether the template holds any of the row."""
    return _reads(template, "item")


def _reads(template: str, root: str) -> bool:
    return any(isinstance(part, TemplateReference) and part.root == root for part in parse_template(template))


def _reference(text: str) -> TemplateReference:
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f"template: {{{{{text}}}}} is not a path; {_HINT}")
    root, steps = match["root"], tuple(parse_step(step) for step in _EACH_STEP.findall(match["steps"]))
    if root not in TEMPLATE_NAMES:
        raise ValueError(f"template: {{{{{text}}}}} begins with {root}, not with item or sample; {_HINT}")
    if not steps:
        raise ValueError(f"template: {{{{{text}}}}} names no field of {root}; {_HINT}")
    if root == "sample" and steps[0] not in SAMPLE_FIELDS:
        nearest = difflib.get_close_matches(str(steps[0]), SAMPLE_FIELDS, n=1)
        hint = f' (did you mean "{nearest[0]}"?)' if nearest else ""
        raise ValueError(f"template: sample has no field {steps[0]}{hint}; it has {', '.join(SAMPLE_FIELDS)}")
    return TemplateReference(root=root, steps=steps)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."

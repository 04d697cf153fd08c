"""The grammar of a path to a value in a row: `gt_answer`, `reward_model.ground_truth`, `choices[0].text`."""

from __future__ import annotations

import re
from typing import TypeAlias

Steps: TypeAlias = tuple[str | int, ...]
"""The names of fields and the numbers of entries on the way, from the outside in."""

QUOTED_STEP = r"""\[[0-9]{1,9}\]|\['[^']*'\]|\["[^"]*"\]"""
_STEP = rf"\.[^.\[\]]+|{QUOTED_STEP}"
_PATH = re.compile(rf"(?P<first>[^.\[\]]+)(?P<steps>(?:{_STEP})*)")
_EACH_STEP = re.compile(_STEP)


def parse_field_path(text: str) -> Steps:
    """The steps of a path. A text that is not a path is the name of one field: columns have names of every kind."""
    match = _PATH.fullmatch(text)
    if match is None:
        return (text,)
    return (match["first"], *(parse_step(step) for step in _EACH_STEP.findall(match["steps"])))


def parse_step(text: str) -> str | int:
    """The name or number in `.name`, `["name"]` or `[0]`."""
    if text.startswith("."):
        return text[1:]
    return text[2:-2] if text[1] in "'\"" else int(text[1:-1])


def item_template(steps: Steps) -> str:
    """The template that is filled in with the value at a path of the row, and nothing else."""
    return f"{{{{ item{''.join(map(_written, steps))} }}}}"


def _written(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f"['{step}']" if '"' in step else f'["{step}"]'

"""The column map, from our fields to the columns of a dataset, or to values inside them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

from verifine.config.document import write_inline
from verifine.config.graders.field_path import parse_field_path
from verifine.config.graders.template import TEMPLATE_NAMES
from verifine.data.field_path import DeadEndError, find_field, first_field
from verifine.data.rows import RowError, RowSource
from verifine.data.suggestion import did_you_mean
from verifine.errors import DataError
from verifine.types import Json

ColumnsWriter: TypeAlias = Callable[[Mapping[str, str]], str]
"""Writes a column map in the form in which a command takes it, so that it can be pasted from an error message."""

_SHOWN_COLUMNS = 20
_QUESTIONS = ("question", "problem", "query", "instruction", "input", "conversations", "conversation", "chat", "text")
_ANSWERS = ("ground_truth", "answer", "solution", "target", "label")
"""What datasets call the question and the right answer, the surest name first."""


def as_setting(columns: Mapping[str, str]) -> str:
    """The map as an override in a shell, `data.columns='{prompt: question}'`, and as a line of a config file."""
    written = write_inline(dict(columns))
    return f"data.columns={shlex.quote(written)} (in a config file, columns: {written} under data)"


def as_options(columns: Mapping[str, str]) -> str:
    """The map as options in a shell: `--column prompt=question`."""
    return " ".join(f"--column {shlex.quote(f'{ours}={theirs}')}" for ours, theirs in columns.items())


def advise_columns(fields: Collection[str], columns: Mapping[str, str], write: ColumnsWriter) -> str:
    """The fields of a row without a question, and a map to read it with; without a map if no field can be asked."""
    found = {name.lower(): name for name in fields}
    right = next((found[name] for name in _ANSWERS if name in found), None)
    others = [name for name in fields if name not in (right, "gt_answer", "id", *columns.values())]
    asked = next((found[name] for name in _QUESTIONS if found.get(name) in others), next(iter(others), None))
    listed = f". The fields are {_listed(fields)}" if fields else ""
    if asked is None:
        return listed
    answer = {} if right is None or "gt_answer" in {*fields, *columns} else {"gt_answer": right}
    return f"{listed}; say which one is asked, for example {write({'prompt': asked, **columns, **answer})}"


def rename(fields: Mapping[str, Json], columns: Mapping[str, str], write: ColumnsWriter) -> dict[str, Json]:
    """A row by our names: the mapped columns first, then every other column under its own name.

    Raises:
        RowError: a mapped column is missing, or hides a field, or a field hides what a grader's templates name.
    """
    check_names(fields, columns, write)
    taken = {*columns, *columns.values()}
    others = {field: value for field, value in fields.items() if field not in taken}
    return {**{ours: _look_up(fields, theirs, ours) for ours, theirs in columns.items()}, **others}


def check_table(source: RowSource, columns: Mapping[str, str], write: ColumnsWriter) -> None:
    """Raises DataError if the columns of a table make all of its rows unusable."""
    assert source.columns is not None
    try:
        check_names(source.columns, columns, write)
    except RowError as error:
        raise DataError(f"{source.name}: {error}") from error
    if not {"messages", "prompt"} & (set(columns) | set(source.columns)):
        raise DataError(
            f'{source.name} has no column "messages" or "prompt"{advise_columns(source.columns, columns, write)}'
        )


def check_names(fields: Collection[str], columns: Mapping[str, str], write: ColumnsWriter) -> None:
    for ours, theirs in columns.items():
        if _column(theirs, fields) is None:
            hint = did_you_mean(theirs, fields)
            raise RowError(
                f'there is no "{theirs}"{hint}, which data.columns wants for {ours}; there are {_listed(fields)}'
            )
    taken = set(columns.values())
    for field in fields:
        if field in taken or (field in columns and _column(columns[field], fields) == field):
            continue
        if field in columns:
            raise RowError(
                f'"{field}" is there already, and data.columns fills it from "{columns[field]}"; give one of them '
                f"another name, for example {write({**columns, f'other_{field}': field})}"
            )
        if field in TEMPLATE_NAMES:
            raise RowError(
                f'the field "{field}" has a name that graders use themselves; rename it, for example '
                f"{write({**columns, f'my_{field}': field})}"
            )


def _column(path: str, fields: Collection[str]) -> str | None:
    """The column that a path begins in, which may have dots in its name; None: there is none."""
    return path if path in fields else first_field(fields, parse_field_path(path))


def _look_up(fields: Mapping[str, Json], theirs: str, ours: str) -> Json:
    try:
        return find_field(fields, theirs)
    except DeadEndError as end:
        step = parse_field_path(theirs)[end.depth]
        inside = list(end.value) if isinstance(end.value, dict) else []
        hint = did_you_mean(str(step), inside)
        if end.why_text:
            raise RowError(
                f'there is no "{theirs}", which data.columns wants for {ours}: the text before "{step}" is not JSON: '
                f"{end.why_text}"
            ) from end
        raise RowError(
            f'there is no "{theirs}", which data.columns wants for {ours}: nothing is called "{step}"{hint} there; '
            f"there are {_listed(inside)}"
        ) from end


def _listed(names: Iterable[str]) -> str:
    quoted = [f'"{name[:60]}"' for name in names]
    more = f" and {len(quoted) - _SHOWN_COLUMNS} more" if len(quoted) > _SHOWN_COLUMNS else ""
    return ", ".join(quoted[:_SHOWN_COLUMNS]) + more if quoted else "none"

"""The column map, from our fields to the columns of a dataset, or to values inside them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from verifine.config.graders.field_path import parse_field_path
from verifine.config.graders.template import TEMPLATE_NAMES
from verifine.data.field_path import DeadEndError, find_field
from verifine.data.rows import RowError, RowSource
from verifine.data.suggestion import did_you_mean
from verifine.errors import DataError
from verifine.types import Json

_SHOWN_COLUMNS = 20


def rename(fields: Mapping[str, Json], columns: Mapping[str, str]) -> dict[str, Json]:
    """A row by our names: the mapped columns first, then every other column under its own name.

    Raises:
        RowError: a mapped column is missing, or hides a field, or a field hides what a grader's templates name.
    """
    check_names(fields, columns)
    taken = {*columns, *columns.values()}
    others = {field: value for field, value in fields.items() if field not in taken}
    return {**{ours: _look_up(fields, theirs, ours) for ours, theirs in columns.items()}, **others}


def check_table(source: RowSource, columns: Mapping[str, str]) -> None:
    """Raises DataError if the columns of a table make all of its rows unusable."""
    assert source.columns is not None
    try:
        check_names(source.columns, columns)
    except RowError as error:
        raise DataError(f"{source.name}: {error}") from error
    if not {"messages", "prompt"} & (set(columns) | set(source.columns)):
        raise DataError(
            f'{source.name} has no column "messages" or "prompt"; its columns are {_listed(source.columns)}. Say which '
            "one is asked, for example data.columns: {prompt: question}"
        )


def check_names(fields: Collection[str], columns: Mapping[str, str]) -> None:
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
                f"another name, for example data.columns: {{other_{field}: {field}}}"
            )
        if field in TEMPLATE_NAMES:
            raise RowError(
                f'the field "{field}" has a name that graders use themselves; rename it, for example data.columns: '
                f"{{my_{field}: {field}}}"
            )


def _column(path: str, fields: Collection[str]) -> str | None:
    """The column that a path begins in, which may have dots in its name; None: there is none."""
    steps = [str(step) for step in parse_field_path(path)]
    beginnings = (".".join(steps[:length]) for length in range(1, len(steps) + 1))
    return next((name for name in (path, *beginnings) if name in fields), None)


def _look_up(fields: Mapping[str, Json], theirs: str, ours: str) -> Json:
    try:
        return find_field(fields, theirs)
    except DeadEndError as end:
        step = parse_field_path(theirs)[end.depth]
        inside = list(end.value) if isinstance(end.value, dict) else []
        hint = did_you_mean(str(step), inside)
        raise RowError(
            f'there is no "{theirs}", which data.columns wants for {ours}: nothing is called "{step}"{hint} there; '
            f"there are {_listed(inside)}"
        ) from end


def _listed(names: Iterable[str]) -> str:
    quoted = [f'"{name[:60]}"' for name in names]
    more = f" and {len(quoted) - _SHOWN_COLUMNS} more" if len(quoted) > _SHOWN_COLUMNS else ""
    return ", ".join(quoted[:_SHOWN_COLUMNS]) + more if quoted else "none"

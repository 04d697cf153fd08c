"""The rows of Arrow tables, which Parquet files and hub datasets consist of, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

import pyarrow as pa

from verifine.data.rows import BadRow, Row, RowError
from verifine.data.strict_json import parse_json
from verifine.errors import DataError
from verifine.types import Json


def check_columns(schema: pa.Schema, name: str) -> None:
    """Raises DataError if two columns have the same name, or a column holds what JSON cannot express, such as bytes."""
    for index, field in enumerate(schema):
        if field.name in schema.names[:index]:
            raise DataError(f'{name}: two columns are called "{field.name}"; rename one of them')
        if (unfit := _unfit(field.type)) is not None:
            raise DataError(
                f'{name}: the column "{field.name}" holds {unfit}, which JSON cannot say; write it as text, or remove '
                "the column"
            )


def read_batch(batch: pa.RecordBatch | pa.Table, first: int) -> Iterator[Row | BadRow]:
    """The rows of a batch; the first of them is number `first` of the whole."""
    for index in range(batch.num_rows):
        try:
            fields = {name: _value(batch, name, index) for name in batch.schema.names}
        except RowError as error:
            yield BadRow(number=first + index, reason=str(error))
        else:
            yield Row(number=first + index, fields=fields)


def _value(batch: pa.RecordBatch | pa.Table, name: str, index: int) -> Json:
    column = batch.column(name)
    try:
        return _plain(column[index].as_py(maps_as_pydicts="strict"), column.type)
    except UnicodeDecodeError as error:
        raise RowError(f'"{name}" is not UTF-8; write it as UTF-8') from error
    except (ValueError, OverflowError, KeyError) as error:
        raise RowError(f'"{name}" holds a value that JSON cannot say ({error}); change it or remove it') from error


def _plain(value: Any, kind: pa.DataType) -> Json:
    """A value as JSON: times are ISO 8601 text, and decimals are text, because a float would round them."""
    types = pa.types
    if value is None:
        return None
    if types.is_dictionary(kind):
        return _plain(value, kind.value_type)
    if types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind}
    if types.is_map(kind):
        return {key: _plain(each, kind.item_type) for key, each in value.items()}
    if _is_list(kind):
        return [_plain(each, kind.value_type) for each in value]
    if isinstance(kind, pa.JsonType):
        return parse_json(value)
    if types.is_floating(kind) and not math.isfinite(value):
        raise ValueError(str(value))
    if types.is_temporal(kind):
        return str(value.isoformat())
    return str(value) if types.is_decimal(kind) else cast("Json", value)


def _is_list(kind: pa.DataType) -> bool:
    return any(fits(kind) for fits in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _unfit(kind: pa.DataType) -> str | None:
    """What a column of this type holds that JSON cannot express; None: nothing."""
    types = pa.types
    if types.is_dictionary(kind):
        return _unfit(kind.value_type)
    if types.is_struct(kind):
        inner = [field.type for field in kind]
    elif types.is_map(kind):
        if not (types.is_string(kind.key_type) or types.is_large_string(kind.key_type)):
            return f"maps with keys of type {kind.key_type}"
        inner = [kind.item_type]
    elif _is_list(kind):
        inner = [kind.value_type]
    elif isinstance(kind, pa.JsonType) or any(fits(kind) for fits in _FITTING):
        return None
    else:
        return f"values of type {kind}"
    return next((unfit for each in inner if (unfit := _unfit(each)) is not None), None)


_FITTING = (
    pa.types.is_null,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
)

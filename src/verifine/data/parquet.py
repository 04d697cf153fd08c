"""Reading Parquet. It needs pyarrow (`pip install 'verifine[data]'`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetFile

from verifine.data.arrow_table import check_columns, read_batch
from verifine.data.lines import check_file
from verifine.data.rows import BadRow, Row, RowSource
from verifine.errors import DataError

_ROWS_AT_ONCE = 256
_BUFFER_BYTES = 1 << 20
"""Bytes of a column that are read at a time; otherwise a column of a row group would be read as a whole."""


def open_parquet(path: Path) -> RowSource:
    """The schema is read at once.

    Raises:
        DataError: this is not a Parquet file, or a column cannot be used.
    """
    check_file(path)
    try:
        file = ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema = file.schema_arrow
    except Exception as error:  # pyarrow raises different errors for files that are not Parquet
        raise DataError(f"{path} cannot be read as Parquet ({_first_line(error)}); write it anew") from error
    check_columns(schema, str(path))
    return RowSource(name=str(path), unit="row", rows=_rows(path, file), columns=tuple(schema.names))


def _rows(path: Path, file: ParquetFile) -> Iterator[Row | BadRow]:
    with file:
        batches = file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False)
        number = 1
        while (batch := _next(path, batches, number)) is not None:
            yield from read_batch(batch, number)
            number += batch.num_rows


def _next(path: Path, batches: Iterator[pa.RecordBatch], number: int) -> pa.RecordBatch | None:
    try:
        return next(batches, None)
    except Exception as error:  # as above
        raise DataError(f"{path} is damaged from row {number} on ({_first_line(error)}); write it anew") from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ")

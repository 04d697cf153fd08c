"""Reading Parquet. It needs pyarrow (`pip install 'verifine[data]'`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetFile

from verifine.data.arrow_table import check_schema, read_batch
from verifine.data.lines import check_file
from verifine.data.rows import BadRow, Row, RowSource
from verifine.errors import DataError

_ROWS_AT_ONCE = 256
_BUFFER_BYTES = 1 << 20
"""Read of a column at once; without it, a whole column of a row group is read before its first row is seen."""


def open_parquet(path: Path) -> RowSource:
    """The schema is read at once.

    Raises:
        DataError: the file is no Parquet file, or a column cannot be used.
    """
    check_file(path)
    try:
        file = ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
        schema = file.schema_arrow
    except Exception as error:  # pyarrow has no one kind of error for a file that is none
        raise DataError(f"{path} cannot be read as Parquet ({_first_line(error)}); write it anew") from error
    check_schema(schema, str(path))
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

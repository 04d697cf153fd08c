"""Reading a dataset of the Hugging Face hub, row by row. It needs datasets (`pip install 'verifine[data]'`)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import datasets
import pyarrow as pa

from verifine.config.dataset import HubDataset
from verifine.data.arrow_table import check_columns, read_batch
from verifine.data.rows import BadRow, Row, RowSource
from verifine.errors import DataError

_ROWS_AT_ONCE = 256


def open_hub(dataset: HubDataset) -> RowSource:
    """The rows of one split, fetched as they are read; nothing is kept on disk, and no code of the dataset is run.

    Raises:
        DataError: there is no such dataset, configuration or split, or the hub cannot be reached.
    """
    batches = _batches(dataset)
    first = next(batches, None)
    if first is None:
        raise DataError(f"{dataset} holds no rows; take another split")
    return RowSource(
        name=str(dataset),
        unit="row",
        rows=_rows(dataset, itertools.chain([first], batches)),
        columns=tuple(first.schema.names),
    )


def _batches(dataset: HubDataset) -> Iterator[pa.Table]:
    try:
        # Datasets that are Python scripts are refused by the package itself since version 4.
        rows = datasets.load_dataset(dataset.name, dataset.config, split=dataset.split, streaming=True)
        yield from rows.with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"{dataset}: the hub has no dataset {dataset.name} that you may read; check the name, or log in with "
            "`hf auth login`"
        ) from error
    except ValueError as error:  # no such configuration or split: the message lists those there are
        raise DataError(f"{dataset}: {_first_line(error)}") from error
    except Exception as error:  # whatever the network, the hub or one of its file formats may raise
        raise DataError(
            f"{dataset} cannot be read ({type(error).__name__}: {_first_line(error)}). Where the hub "
            f"cannot be reached, fetch it elsewhere (hf download --repo-type dataset {dataset.name}) and give the path "
            "of its file"
        ) from error


def _rows(dataset: HubDataset, batches: Iterator[pa.Table]) -> Iterator[Row | BadRow]:
    number, schema = 1, None
    for batch in batches:
        if batch.schema != schema:
            check_columns(batch.schema, str(dataset))
            schema = batch.schema
        yield from read_batch(batch, number)
        number += batch.num_rows


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(". ")

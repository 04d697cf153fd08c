"""Reads a dataset of any format from a file or the hub, and checks every row."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verifine.config.dataset import HubDataset
from verifine.data.chat_row import RowRules, parse_row
from verifine.data.columns import ColumnsWriter, as_setting, check_table
from verifine.data.csv_table import open_csv
from verifine.data.examples import Examples, ExampleWriter
from verifine.data.jsonl import open_jsonl
from verifine.data.lines import check_file
from verifine.data.row_problems import RowProblems
from verifine.data.rows import BadRow, Row, RowError, RowSource
from verifine.errors import DataError, SetupError

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def read_examples(
    location: Path | HubDataset,
    columns: Mapping[str, str] | None = None,
    system_prompt: str | None = None,
    *,
    write_columns: ColumnsWriter = as_setting,
) -> Examples:
    """The examples of a file or a hub dataset, in its order.

    Args:
        location: The suffix of a file determines its format.
        columns: The column for each of our fields; None: every column keeps its name.
        system_prompt: Added to every chat that has no system message; None: nothing is added.
        write_columns: How error messages write a column map.

    Raises:
        DataError: the message has file, line and field of the first problems, and how to fix them.
        SetupError: the package for this format is not installed, or the disk is full.
    """
    source, columns = _open(location), columns or {}
    if source.is_table:
        check_table(source, columns, write_columns)
    rules = RowRules(
        columns=columns, system_prompt=system_prompt, is_table=source.is_table, write_columns=write_columns
    )
    place = f"{source.name} {source.unit}"
    writer, problems = ExampleWriter(place), RowProblems(place)
    for row in source.rows:
        problems.add(row, _add(row, rules, writer))
    problems.check()
    examples = writer.finish()
    if not examples:
        shape = "give it at least one row" if source.is_table else 'write one JSON object with "messages" on each line'
        raise DataError(f"{source.name} holds no examples; {shape}")
    return examples


def _add(row: Row | BadRow, rules: RowRules, writer: ExampleWriter) -> RowError | None:
    """Adds a row, or returns why it cannot be used."""
    if isinstance(row, BadRow):
        return RowError(row.reason)
    try:
        writer.add(row.number, parse_row(row.fields, rules))
    except RowError as error:
        return error
    return None


def _open(location: Path | HubDataset) -> RowSource:
    if isinstance(location, HubDataset):
        return _open_hub(location)
    check_file(location)
    match location.suffix.lower():
        case ".jsonl" | ".json":
            return open_jsonl(location)
        case ".csv":
            return open_csv(location)
        case ".parquet":
            return _open_parquet(location)
        case ".gz" | ".zip" | ".bz2" | ".xz" | ".zst":
            raise DataError(f"{location} line 1: this is an archive; unpack it and give the file in it")
    raise DataError(f"{location}: the name does not say what the format is; let it end in {', '.join(SUFFIXES)}")


# The two readers below are imported where their format is chosen, because they need optional packages.


def _open_parquet(path: Path) -> RowSource:
    try:
        from verifine.data.parquet import open_parquet
    except ModuleNotFoundError as error:
        raise _missing("pyarrow", str(path), error) from error
    return open_parquet(path)


def _open_hub(dataset: HubDataset) -> RowSource:
    try:
        from verifine.data.hub import open_hub
    except ModuleNotFoundError as error:
        raise _missing("datasets", str(dataset), error) from error
    here = Path(dataset.name)
    if here.exists() and not here.is_absolute():  # an absolute path does mean that folder
        raise DataError(
            f"{dataset}: a folder called {dataset.name} is here, and would be read in place of the hub's dataset; give "
            "the path of a file in it, or run this elsewhere"
        )
    return open_hub(dataset)


def _missing(package: str, name: str, error: ModuleNotFoundError) -> SetupError:
    if error.name is None or error.name.partition(".")[0] not in ("datasets", "pyarrow"):
        raise error
    return SetupError(
        f"{name} is read with the package {package}, which is not installed; pip install 'verifine[data]'"
    )

"""JSON Lines that survive a crash: a row is whole or it is not there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from verifine.errors import ConfigError
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.types import Json


def append_row(path: Path, row: Mapping[str, object], disk: Disk = LOCAL_DISK) -> None:
    """Add one row and hand it to the system at once, so a reader sees it while the run goes on."""
    disk.append(path, _encode(row))


def rows_to_bytes(rows: Sequence[Mapping[str, object]]) -> bytes:
    return b"".join(_encode(row) for row in rows)


def read_rows(path: Path) -> list[dict[str, Json]]:
    """Every row of the file; none if there is no file. A half-written last line is left out.

    Raises:
        ConfigError: a line other than the last is broken.
    """
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    rows: list[dict[str, Json]] = []
    for number, line in enumerate(lines, start=1):
        row = _parsed(line)
        if row is not None:
            rows.append(row)
        elif line.strip() and number < len(lines):
            raise ConfigError(f"{path}:{number}: this line is not a JSON object; remove it or restore the file")
    return rows


def read_rows_from(path: Path, offset: int, max_bytes: int | None = None) -> tuple[list[dict[str, Json]], int]:
    """The rows from a place in the file on, and the place after them. A last line without its end is left for later.

    Nothing if there is no file, or if it ends before `offset`. Rows are read until there are `max_bytes`, and the one
    that is reached then is the last; None: all.

    Raises:
        ConfigError: a line is broken.
    """
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        content = file.read() if max_bytes is None else file.read(max_bytes) + file.readline()
    whole, newline, _ = content.rpartition(b"\n")
    rows: list[dict[str, Json]] = []
    for line in whole.split(b"\n") if newline else []:
        row = _parsed(line)
        if row is None and line.strip():
            raise ConfigError(f"{path}: a line is not a JSON object; remove it or restore the file")
        if row is not None:
            rows.append(row)
    return rows, offset + len(whole) + len(newline)


def rows_with_ends(path: Path) -> Iterator[tuple[dict[str, Json], int]]:
    """Every whole row of the file, with the place after it; none if there is no file."""
    end = 0
    with path.open("rb") if path.exists() else BytesIO() as file:
        for line in file:
            end += len(line)
            row = _parsed(line)
            if row is not None and line.endswith(b"\n"):
                yield row, end


def end_with_whole_row(path: Path) -> None:
    """Make the file end where a row ends, so that the next row starts a line of its own."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole, newline, rest = content.rpartition(b"\n")
    if not rest:
        return
    path.write_bytes(content + b"\n" if _parsed(rest) is not None else whole + newline)


def keep_rows(path: Path, keeps: Callable[[Mapping[str, Json]], bool], disk: Disk = LOCAL_DISK) -> None:
    """Drops the rows that `keeps` does not want, and a half-written last line; all or nothing."""
    if path.exists():
        write_whole(path, rows_to_bytes([row for row in read_rows(path) if keeps(row)]), disk)


def finite(value: object) -> object:
    """`value` with null for every number that is not finite, for JSON has no word for those."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value


def _parsed(line: bytes) -> dict[str, Json] | None:
    try:
        row = json.loads(line)
    except ValueError:  # neither JSON nor, where a character was cut in two, UTF-8
        return None
    return row if isinstance(row, dict) else None


def _encode(row: Mapping[str, object]) -> bytes:
    # A model can write half of a surrogate pair, which UTF-8 refuses; as \udXXX it is proper JSON.
    text = json.dumps(finite(row), ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", errors="backslashreplace")

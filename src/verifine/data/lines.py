"""The lines of a text file in bounded memory, and faults in them that do not depend on the format."""

from __future__ import annotations

import codecs
import itertools
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from verifine.data.rows import MAX_ROW_BYTES, byte_size
from verifine.data.suggestion import did_you_mean
from verifine.errors import DataError

_SKIPPED_AT_ONCE = 1 << 16
_SHOWN_OF_A_LONG_LINE = 100

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip archive", "unpack it first, for example with gunzip"),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or export the sheet as CSV"),
    (b"BZh", "a bzip2 archive", "unpack it first, for example with bunzip2"),
    (b"\xfd7zXZ\x00", "an xz archive", "unpack it first, for example with unxz"),
    (b"\x28\xb5\x2f\xfd", "a zstandard archive", "unpack it first, for example with unzstd"),
    (b"PAR1", "a Parquet file", "let its name end in .parquet"),
    (b"ARROW1", "an Arrow file", "save it as Parquet"),
    (b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    (b"%PDF", "a PDF document", "give the data itself"),
    (b"\x93NUMPY", "a NumPy array", "give rows with fields"),
    (codecs.BOM_UTF32_LE, "UTF-32 text", "save it as UTF-8"),
    (codecs.BOM_UTF32_BE, "UTF-32 text", "save it as UTF-8"),
    (codecs.BOM_UTF16_LE, "UTF-16 text", "save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "UTF-16 text", "save it as UTF-8"),
)
"""First bytes of files that are given by mistake, and what to do. UTF-32 comes before UTF-16, which begins alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a text file, with its line end."""

    number: int
    text: str
    """If there is a fault, the readable part of the line."""
    fault: str | None
    """Why the line cannot be used; None: it can."""


def read_lines(path: Path) -> Iterator[Line]:
    r"""The lines of a UTF-8 file, blank ones included, numbered from 1. A line ends with `\n`.

    A line over the limit is skipped in pieces, so that memory stays bounded.

    Raises:
        DataError: the file cannot be read, or is not text.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            _check_kind(path, file.peek(16))
            for number in itertools.count(1):
                line = _read_line(file, number)
                if line is None:
                    return
                yield line
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error


def check_file(path: Path) -> None:
    """Raises DataError unless this is a regular file (reading a pipe could block forever)."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist{_near(path)}; check the path") from error
    except OSError as error:
        raise DataError(_unreadable(path, error)) from error
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} cannot be read (Is a directory); give a file in it")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is a pipe or a device; write the data to a file first")


def _check_kind(path: Path, start: bytes) -> None:
    for signature, kind, hint in _SIGNATURES:
        if start.startswith(signature):
            raise DataError(f"{path} line 1: this is {kind}, not text; {hint}")


def _unreadable(path: Path, error: OSError) -> str:
    return f"{path} cannot be read ({error.strerror}); give a file that can"


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    return did_you_mean(path.name, (file.name for file in path.parent.iterdir() if file.is_file()))


def _read_line(file: BufferedReader, number: int) -> Line | None:
    """The next line; None at the end of the file."""
    raw = file.readline(MAX_ROW_BYTES + 1)
    if not raw:
        return None
    if len(raw) > MAX_ROW_BYTES:
        size = len(raw) + _skip(file, raw)
        fault = f"the line has {byte_size(size)}, but a row may have {byte_size(MAX_ROW_BYTES)} (1 MiB) at most"
        fault = f"{fault}; shorten it, or leave out what no grader reads"
        return Line(number=number, text=raw[:_SHOWN_OF_A_LONG_LINE].decode(errors="replace") + "\n", fault=fault)
    has_mark = raw.startswith(codecs.BOM_UTF8)
    raw = raw.removeprefix(codecs.BOM_UTF8)
    return Line(number=number, text=raw.decode(errors="replace"), fault=_fault(raw, has_mark and number > 1))


def _skip(file: BufferedReader, piece: bytes) -> int:
    """Skips the rest of the line that `piece` belongs to; returns its size in bytes."""
    size = 0
    while not piece.endswith(b"\n") and (piece := file.readline(_SKIPPED_AT_ONCE)):
        size += len(piece)
    return size


def _fault(raw: bytes, has_stray_mark: bool) -> str | None:
    if has_stray_mark:
        return "a byte order mark before the row (files joined into one?); remove it, or save the file as plain UTF-8"
    if (nul := raw.find(b"\0")) >= 0:
        return f"byte {nul + 1} is NUL, which no text holds; if this is UTF-16, save the file as UTF-8"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8; save the file as UTF-8"
    return None

"""Reading a user's JSONL file: one example a line, and errors that name the line."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from verifine.data.messages import MessagesError, parse_messages
from verifine.data.strict_json import JsonError, parse_json
from verifine.data.suggestion import did_you_mean
from verifine.errors import DataError
from verifine.types import Example, Json

MAX_PROBLEMS = 5
"""Problems told in one error; the rest is counted. A file with one habit wrong has it wrong on every line."""

_LATER_EPOCH = re.compile(r"@[0-9]+$")


def read_examples(path: Path) -> list[Example]:
    """The examples of a JSONL file, in its order.

    A line is an object with `messages`; its other fields become the example's item. The ids are those of the field
    `id` where every line has its own, else the line numbers.

    Raises:
        DataError: naming file, line and field of the first problems, and what to do.
    """
    examples: list[Example] = []
    problems: list[str] = []
    for number, raw in _lines(path):
        try:
            examples.append(_example(raw, number, f"{path} line {number}"))
        except (JsonError, MessagesError) as error:
            problems.append(f"{path} line {number}: {error}")
    if problems:
        told, more = problems[:MAX_PROBLEMS], len(problems) - MAX_PROBLEMS
        raise DataError("\n".join([*told, f"and {more} more"] if more > 0 else told))
    if not examples:
        raise DataError(f'{path} holds no examples; write one JSON object with "messages" on each line')
    return _identified(examples)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not blank, numbered from 1."""
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist{_near(path)}; check the path") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a JSONL file that can") from error


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    return did_you_mean(path.name, (file.name for file in path.parent.iterdir() if file.is_file()))


def _example(raw: bytes, number: int, place: str) -> Example:
    row = _object(raw)
    if "messages" not in row:
        raise MessagesError('"messages" is missing; every line needs a list of chat messages')
    item = {field: value for field, value in row.items() if field != "messages"}
    return Example(id=str(number), messages=parse_messages(row["messages"]), item=item, place=place)


def _object(raw: bytes) -> dict[str, Json]:
    try:
        row = parse_json(raw.decode().rstrip("\r\n"))
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except JsonError as error:
        if error.column is None:
            raise
        fault = f"column {error.column}: {error}"
        raise JsonError(f"not JSON ({fault}); every line must be one whole JSON object") from error
    if not isinstance(row, dict):
        raise JsonError('not an object; every line must be one, such as {"messages": [...], "gt_answer": "31"}')
    return row


def _identified(examples: list[Example]) -> list[Example]:
    """The examples with the ids of their own field, if those can tell all of them apart."""
    ids = [id_ for example in examples if (id_ := _own_id(example.item.get("id"))) is not None]
    if len(set(ids)) < len(examples):
        return examples
    return [replace(example, id=id_) for example, id_ in zip(examples, ids, strict=True)]


def _own_id(value: Json) -> str | None:
    """None: not usable. `x@1` is how a draw of `x` in epoch 1 is called, so a row must not be called so."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    id_ = str(value)
    return None if not id_ or _LATER_EPOCH.search(id_) else id_

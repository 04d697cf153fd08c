"""The examples of a dataset: read once, kept on disk, and given one at a time."""

from __future__ import annotations

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from verifine.data.chat_row import ChatRow
from verifine.data.message_rows import message_of, row_of
from verifine.data.rows import MAX_ROW_BYTES, RowError, byte_size
from verifine.data.spool import Spool
from verifine.types import Example, Json, Message

_LATER_EPOCH = re.compile(r"@[0-9]+$")


class Examples(Sequence[Example]):
    """Examples on disk. Each access reads one, so memory holds a few numbers a row, however large the rows are."""

    def __init__(self, store: _Store, positions: Sequence[int]) -> None:
        self._store = store
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    @overload
    def __getitem__(self, index: int) -> Example: ...

    @overload
    def __getitem__(self, index: slice) -> Examples: ...

    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return Examples(self._store, self._positions[index])
        return self._store.example(self._positions[index])

    def select(self, indices: Iterable[int]) -> Examples:
        """Those at `indices`, in that order; nothing is read."""
        return Examples(self._store, array("Q", (self._positions[index] for index in indices)))

    @property
    def fingerprints(self) -> Sequence[int]:
        """The `question_hash` of each; nothing is read."""
        return array("Q", (self._store.fingerprints[position] for position in self._positions))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """All rows of a dataset, whoever shows which of them."""

    place: str
    """What stands before a row's number, such as `train.jsonl line`."""
    records: Spool
    fingerprints: Sequence[int]
    has_own_ids: bool

    def example(self, position: int) -> Example:
        number, messages, tools, item = json.loads(self.records[position])
        return Example(
            id=str(item["id"] if self.has_own_ids else number),
            messages=tuple(message_of(row) for row in messages),
            tools=tuple(tools),
            item=item,
            place=f"{self.place} {number}",
        )


class ExampleWriter:
    """Collects the rows of a dataset one by one, and turns them into its examples."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._records = Spool()
        self._fingerprints = array("Q")
        self._ids = array("Q")

    def add(self, number: int, row: ChatRow) -> None:
        """Raises RowError if the row is too large."""
        record = _json([number, [row_of(message) for message in row.messages], row.tools, row.item])
        if len(record) > MAX_ROW_BYTES:
            size, limit = byte_size(len(record)), byte_size(MAX_ROW_BYTES)
            raise RowError(f"the row has {size}, but may have {limit} (1 MiB) at most; leave out what no grader reads")
        self._records.append(record)
        self._fingerprints.append(question_hash(row.messages, row.tools))
        own_id = _own_id(row.item.get("id"))
        if own_id is not None:
            self._ids.append(_hash(own_id.encode()))

    def finish(self) -> Examples:
        """The examples. Their ids are those of the field `id` if these are unique, else their numbers."""
        self._records.seal()
        count = len(self._records)
        store = _Store(
            place=self._place,
            records=self._records,
            fingerprints=self._fingerprints,
            has_own_ids=len(np.unique(np.array(self._ids, dtype=np.uint64))) == count,
        )
        return Examples(store, range(count))


def question_hash(messages: Iterable[Message], tools: Iterable[Mapping[str, Json]]) -> int:
    """A 64-bit hash of a question. Among a million different ones, two are equal with probability below 10^-7."""
    return _hash(_json([[row_of(message) for message in messages], list(tools)]))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest())


def _own_id(value: Json) -> str | None:
    """None: it cannot be used. `x@1` is the id of `x` when drawn in epoch 1, so a row must not have such an id."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    id_ = str(value)
    return None if not id_ or _LATER_EPOCH.search(id_) else id_

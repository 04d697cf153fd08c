"""A summary of a dataset before it is trained on."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verifine.config.graders.fields import REFERENCE_FIELD
from verifine.data.examples import question_hash
from verifine.types import Example

SHOWN_REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Rows with the same messages and tools as another row."""

    count: int
    first: tuple[tuple[str, str], ...]
    """The places of the first ones, each with the place of the row that it repeats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """What a run learns from, and what it is evaluated on."""

    train_rows: int
    held_out_rows: int
    is_carved_out: bool
    """Whether the held-out rows were drawn from the training data, rather than given."""
    duplicates: Repeats
    """Training rows that repeat an earlier row."""
    overlap: Repeats
    """Held-out rows that are trained on as well."""
    fields: Mapping[str, int]
    """The fields of the training rows' items, and in how many rows each is present and not null."""
    constant_reference: str | None
    """The right answer that all training rows have in common, as JSON; None: they differ, or have none."""


def _own_reference(example: Example) -> str | None:
    """The right answer in the field `gt_answer`, as JSON; None: there is none."""
    if REFERENCE_FIELD not in example.item:
        return None
    return json.dumps(example.item[REFERENCE_FIELD], ensure_ascii=False, sort_keys=True)


def summarize_data(
    train: Sequence[Example],
    held_out: Sequence[Example],
    *,
    is_carved_out: bool,
    reference: Callable[[Example], str | None] = _own_reference,
) -> DataSummary:
    """Reads every row once, one at a time, and keeps only a hash of it. `reference` gives its right answer."""
    prints = array("Q")
    fields: Counter[str] = Counter()
    references: set[str | None] = set()
    for example in train:
        prints.append(question_hash(example.messages, example.tools))
        fields.update(name for name, value in example.item.items() if value is not None)
        if len(references) < 2:
            references.add(reference(example))
    train_prints = np.array(prints, dtype=np.uint64)
    held_prints = np.fromiter((question_hash(each.messages, each.tools) for each in held_out), dtype=np.uint64)
    values, first, group = np.unique(train_prints, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(first[group] != np.arange(len(group)))
    learned = np.flatnonzero(np.isin(held_prints, values))
    return DataSummary(
        train_rows=len(train),
        held_out_rows=len(held_out),
        is_carved_out=is_carved_out,
        duplicates=_repeats(train, repeated, train, first[group[repeated]]),
        overlap=_repeats(held_out, learned, train, first[np.searchsorted(values, held_prints[learned])]),
        fields=dict(fields),
        constant_reference=references.pop() if len(references) == 1 and len(train) > 1 else None,
    )


def _repeats(
    later: Sequence[Example], indices: NDArray[np.intp], earlier: Sequence[Example], repeated: NDArray[np.intp]
) -> Repeats:
    pairs = zip(indices[:SHOWN_REPEATS].tolist(), repeated[:SHOWN_REPEATS].tolist(), strict=True)
    return Repeats(
        count=len(indices), first=tuple((later[index].label, earlier[other].label) for index, other in pairs)
    )

"""What the tokens of an update add up to. Sums, counts and extremes are added; means are formed from them once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSums:
    """The metrics of some tokens, by name. Those of other tokens can be added to them."""

    totals: Mapping[str, float]
    """Sums that are metrics themselves, such as the loss."""
    sums: Mapping[str, float]
    """Over `counts` they are means."""
    counts: Mapping[str, int]
    highest: Mapping[str, float]
    lowest: Mapping[str, float]

    def __add__(self, other: MetricSums) -> MetricSums:
        return MetricSums(
            totals=_merged(self.totals, other.totals, operator.add),
            sums=_merged(self.sums, other.sums, operator.add),
            counts=_merged(self.counts, other.counts, operator.add),
            highest=_merged(self.highest, other.highest, max),
            lowest=_merged(self.lowest, other.lowest, min),
        )

    def metrics(self) -> dict[str, float]:
        """Totals, means and extremes."""
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        return {**self.totals, **means, **self.highest, **self.lowest}


NO_METRICS = MetricSums(totals={}, sums={}, counts={}, highest={}, lowest={})


class MetricAccumulator:
    """Adds up the metrics of micro-batches; nothing leaves the device before `read`."""

    def __init__(self) -> None:
        self._totals: dict[str, Tensor] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._highest: dict[str, Tensor] = {}
        self._lowest: dict[str, Tensor] = {}

    def total(self, name: str, value: Tensor) -> None:
        self._totals[name] = self._totals.get(name, torch.zeros((), device=value.device)) + value

    def mean(self, name: str, values: Tensor) -> None:
        self._sums[name] = self._sums.get(name, torch.zeros((), device=values.device)) + values.sum()
        self._counts[name] = self._counts.get(name, 0) + len(values)

    def highest(self, name: str, values: Tensor) -> None:
        largest = values.max()
        self._highest[name] = torch.maximum(self._highest.get(name, largest), largest)

    def lowest(self, name: str, values: Tensor) -> None:
        smallest = values.min()
        self._lowest[name] = torch.minimum(self._lowest.get(name, smallest), smallest)

    def read(self) -> MetricSums:
        return MetricSums(
            totals=_numbers(self._totals),
            sums=_numbers(self._sums),
            counts=dict(self._counts),
            highest=_numbers(self._highest),
            lowest=_numbers(self._lowest),
        )


def _numbers(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: tensor.item() for name, tensor in tensors.items()}


def _merged(
    one: Mapping[str, Number], other: Mapping[str, Number], merge: Callable[[Number, Number], Number]
) -> dict[str, Number]:
    """`merge` where both have a number of that name, else the one that there is."""
    both = {name: merge(one[name], other[name]) for name in one.keys() & other.keys()}
    return {**one, **other, **both}

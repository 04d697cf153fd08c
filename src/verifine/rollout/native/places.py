"""Memory for keys and values that grows with what is written: places of 32, 64, 128, ... tokens.

Places of the same size lie in one tensor without gaps (a *band*), so that a band is attended to in one operation. What
outgrows its place moves to one of twice the size: an answer is copied as often as its length doubles.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jaxtyping import Float, Int
from torch import Tensor

from verifine.rollout.native.shared_rows import places_with_fewest_copies

FIRST_TOKENS = 32
"""Of the smallest place."""

SPARE_SHARE = 4
"""A band has a place to spare for so many, if there is memory, so that the next ones need no copy."""


def place_tokens(tokens: int) -> int:
    """The size of the place that holds so many tokens."""
    return max(FIRST_TOKENS, 1 << (tokens - 1).bit_length())


@dataclass(frozen=True, slots=True, order=True)
class BandKey:
    """Prompts that several rows read lie apart from what rows have alone."""

    is_prompt: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item lies."""

    band: BandKey
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class ReadTokens:
    """Keys and values that have just been computed: those of an item are at these positions on T."""

    tensors: Sequence[Float[Tensor, "Hk T D"]]
    """The keys of every layer, then the values of every layer."""
    positions: Int[Tensor, " tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that needs a place, and the tokens that it holds."""

    band: BandKey
    source: Place | ReadTokens | None
    """Where its tokens are. None: it has none yet."""
    tokens: int


@dataclass(slots=True)
class _Plan:
    """What becomes of a band. Pairs are old and new indices of places."""

    count: int = 0
    staying: list[tuple[int, int]] = field(default_factory=list)
    arriving: dict[BandKey, list[tuple[int, int]]] = field(default_factory=dict)
    """From other bands."""
    read: list[tuple[ReadTokens, int]] = field(default_factory=list)
    longest: int = 0
    """The most tokens of an item that lies in a band already."""

    @property
    def changes(self) -> bool:
        return bool(self.arriving or self.read) or any(source != target for source, target in self.staying)

    def add(self, item: Item, place: Place) -> None:
        self.count += 1
        if isinstance(item.source, ReadTokens):
            self.read.append((item.source, place.index))
        elif item.source is not None and item.tokens:
            same = item.source.band == item.band
            pairs = self.staying if same else self.arriving.setdefault(item.source.band, [])
            pairs.append((item.source.index, place.index))
            self.longest = max(self.longest, item.tokens)


class PlaceStore:
    """Keys and values of every layer. At most `limit` tokens are allocated, if what is held at a time fits.

    While things move, one layer of up to `limit` tokens more is: old places are freed layer by layer.
    Unwritten places are masked where they are read, but they must hold numbers: 0 times NaN is NaN.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bands: dict[BandKey, list[Float[Tensor, "places Hk tokens D"]]] = {}
        """In the order of `ReadTokens.tensors`."""

    @property
    def allocated_tokens(self) -> int:
        return sum(key.tokens * self._places(key) for key in self._bands)

    def layer(
        self, band: BandKey, layer: int
    ) -> tuple[Float[Tensor, "places Hk tokens D"], Float[Tensor, "places Hk tokens D"]]:
        """The keys and values of a band."""
        tensors = self._bands[band]
        return tensors[layer], tensors[len(tensors) // 2 + layer]

    def arrange(self, items: Sequence[Item], *, in_order: bool) -> list[Place]:
        """Gives each item a place and puts its tokens there; everything else is forgotten.

        `in_order`: the items of a band lie in the given order, however much is copied; else as few as possible move.
        """
        members: dict[BandKey, list[Item]] = {}
        for item in items:
            members.setdefault(item.band, []).append(item)
        indices = {key: iter(_indices(own, in_order=in_order)) for key, own in members.items()}
        plans = {key: _Plan() for key in members}
        places = []
        for item in items:
            places.append(Place(item.band, next(indices[item.band])))
            plans[item.band].add(item, places[-1])
        self._carry_out(plans)
        return places

    def _carry_out(self, plans: Mapping[BandKey, _Plan]) -> None:
        sizes = self._sizes({key: plan.count for key, plan in plans.items()})
        changing = [key for key, plan in plans.items() if plan.changes or sizes[key] != self._places(key)]
        trimmed = [key for key, size in sizes.items() if key not in plans and size != self._places(key)]
        if changing:
            like = next(iter(self._bands.values()), None) or next(
                read.tensors for key in changing for read, _ in plans[key].read
            )
            # Without the memory of the tensors, which is freed layer by layer.
            empty = [tensor.new_empty(0, tensor.shape[-3], 0, tensor.shape[-1]) for tensor in like]
            made: dict[BandKey, list[Tensor]] = {key: [] for key in changing}
            for index in range(len(empty)):
                tensors = self._carry_out_in(index, {key: plans[key] for key in changing}, trimmed, sizes, empty[index])
                for key in changing:
                    made[key].append(tensors[key])
            self._bands |= made
        for key in trimmed:
            del self._bands[key]

    def _carry_out_in(
        self,
        index: int,
        plans: Mapping[BandKey, _Plan],
        trimmed: Sequence[BandKey],
        sizes: Mapping[BandKey, int],
        empty: Tensor,
    ) -> dict[BandKey, Tensor]:
        """The keys or values of one layer in each band that changes; frees the old ones."""
        # All that arrives is read before anything is written.
        arrived = {key: list(self._arriving(plan, index)) for key, plan in plans.items()}
        for key in trimmed:
            self._bands[key][index] = empty
        tensors: dict[BandKey, Tensor] = {}
        for key, plan in plans.items():
            tensor = self._resized(key, index, plan, sizes[key], empty)
            for targets, contents in arrived.pop(key):
                tensor[targets, :, : contents.shape[2]] = contents
            for read, target in plan.read:
                tensor[target, :, : len(read.positions)] = read.tensors[index][:, read.positions]
            tensors[key] = tensor
            if key in self._bands:
                self._bands[key][index] = tensor
        return tensors

    def _sizes(self, counts: Mapping[BandKey, int]) -> dict[BandKey, int]:
        """How many places each band gets: what it has or needs with some to spare; if that is too much, its need."""
        sizes = {key: self._places(key) for key in self._bands}
        for key, count in counts.items():
            if count > sizes.get(key, 0):
                sizes[key] = count + count // SPARE_SHARE
        if sum(key.tokens * size for key, size in sizes.items()) <= self._limit:
            return sizes
        return {key: counts.get(key, 0) for key in sizes}

    def _places(self, key: BandKey) -> int:
        return len(self._bands[key][0]) if key in self._bands else 0

    def _arriving(self, plan: _Plan, index: int) -> Iterator[tuple[list[int], Tensor]]:
        """What comes from each other band, with its new places."""
        for key, pairs in plan.arriving.items():
            sources, targets = zip(*pairs, strict=True)
            yield list(targets), self._bands[key][index][list(sources), :, : plan.longest]

    def _resized(self, key: BandKey, index: int, plan: _Plan, size: int, like: Tensor) -> Tensor:
        """The tensor of a band with what stays in it in its new places."""
        old = self._bands[key][index] if key in self._bands else None
        is_kept = old is not None and len(old) == size
        tensor = (
            old if old is not None and is_kept else like.new_zeros(size, like.shape[-3], key.tokens, like.shape[-1])
        )
        pairs = [pair for pair in plan.staying if not is_kept or pair[0] != pair[1]]
        if pairs and old is not None:
            sources, targets = map(list, zip(*pairs, strict=True))
            tensor[targets, :, : plan.longest] = old[sources, :, : plan.longest]
        return tensor


def _indices(items: Sequence[Item], *, in_order: bool) -> list[int]:
    """The place of each item in their band."""
    if in_order:
        return list(range(len(items)))
    return places_with_fewest_copies(
        [
            item.source.index if isinstance(item.source, Place) and item.source.band == item.band else None
            for item in items
        ]
    )

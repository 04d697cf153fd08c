from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from verifine.rollout.native.places import BandKey, Item, Place, PlaceStore, ReadTokens, place_tokens

LAYERS = 2


def read(first: float, tokens: int) -> ReadTokens:
    """Keys that count up from `first`, and values that are their negatives; they lie on an axis in reverse."""
    keys = torch.arange(first, first + tokens).flip(0).view(1, tokens, 1)
    return ReadTokens((keys, keys + 0.5, -keys, -keys - 0.5), torch.arange(tokens).flip(0))


def held(store: PlaceStore, place: Place, tokens: int) -> list[list[float]]:
    """The keys of each layer, then the values."""
    tensors = [each for layer in range(LAYERS) for each in store.layer(place.band, layer)]
    keys_then_values = [tensors[0], tensors[2], tensors[1], tensors[3]]
    return [tensor[place.index, 0, :tokens, 0].tolist() for tensor in keys_then_values]


def expected(first: float, tokens: int) -> list[list[float]]:
    keys = [first + index for index in range(tokens)]
    return [keys, [key + 0.5 for key in keys], [-key for key in keys], [-key - 0.5 for key in keys]]


@pytest.mark.parametrize(("tokens", "size"), [(0, 32), (1, 32), (32, 32), (33, 64), (64, 64), (65, 128)])
def test_the_size_of_a_place_is_the_next_power_of_two(tokens: int, size: int) -> None:
    assert place_tokens(tokens) == size


CHANGES = st.lists(
    st.tuples(
        st.lists(st.integers(0, 7), max_size=6),  # which items go on, some in several ways
        st.lists(st.integers(1, 80), max_size=3),  # tokens of what is new
        st.integers(0, 40),  # by how much all grow
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@given(changes=CHANGES, limit=st.sampled_from([0, 10_000]))
def test_everything_keeps_what_it_holds_wherever_it_is_moved(
    changes: Sequence[tuple[list[int], list[int], int, bool]], limit: int
) -> None:
    store = PlaceStore(limit)
    items: list[tuple[float, int, Place]] = []
    """The first key of each, its tokens, and its place."""
    count = 0.0
    for going_on, new, growth, in_order in changes:
        kept = [items[index] for index in going_on if index < len(items)]
        asked = [
            Item(band=BandKey(is_prompt=False, tokens=place_tokens(tokens + growth)), source=place, tokens=tokens)
            for _, tokens, place in kept
        ]
        names = [(first, tokens) for first, tokens, _ in kept]
        for tokens in new:
            count += 1000
            band = BandKey(is_prompt=tokens % 2 == 0, tokens=place_tokens(tokens))
            asked.append(Item(band=band, source=read(count, tokens), tokens=tokens))
            names.append((count, tokens))
        places = store.arrange(asked, in_order=in_order)
        assert [place.band for place in places] == [item.band for item in asked]
        assert len(set(places)) == len(places)
        for key in {place.band for place in places}:
            indices = [place.index for place in places if place.band == key]
            assert sorted(indices) == list(range(len(indices))), "there are no gaps"
            assert not in_order or indices == sorted(indices)
        items = [(*name, place) for name, place in zip(names, places, strict=True)]
        for first, tokens, place in items:
            assert held(store, place, tokens) == expected(first, tokens)


def test_spare_places_are_given_up_before_the_limit_is_passed() -> None:
    store, band = PlaceStore(10 * 32), BandKey(is_prompt=False, tokens=32)
    places = store.arrange([Item(band=band, source=read(0, 3), tokens=3)] * 4, in_order=False)
    assert store.allocated_tokens == 5 * 32, "one to spare"
    store.arrange([Item(band=band, source=place, tokens=3) for place in [*places, *places]], in_order=False)
    assert store.allocated_tokens == 10 * 32
    longer = BandKey(is_prompt=False, tokens=64)
    store.arrange([Item(band=longer, source=places[0], tokens=3)] * 5, in_order=False)
    assert store.allocated_tokens == 5 * 64, "the limit has no memory for places of a band without items"


class AliveTokens(TorchDispatchMode):
    """The most tokens that were alive at a time: the numbers of the tensors that were made, by those of a token."""

    def __init__(self, numbers_per_token: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._numbers_per_token = numbers_per_token
        self._made: list[weakref.ref[torch.Tensor]] = []
        self.most = 0.0

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            self._made.append(weakref.ref(result))
        self._made = [reference for reference in self._made if reference() is not None]
        storages = [tensor.untyped_storage() for reference in self._made if (tensor := reference()) is not None]
        numbers = {each.data_ptr(): each.nbytes() // 4 for each in storages}
        self.most = max(self.most, sum(numbers.values()) / self._numbers_per_token)
        return result


@pytest.mark.parametrize("rows", [8, 7])
def test_the_limit_and_one_layer_are_not_passed_while_places_grow(rows: int) -> None:
    layers, limit = 24, rows * 128
    tensors = [torch.ones(1, rows * 20, 1) for _ in range(2 * layers)]
    store, sizes = PlaceStore(limit), (32, 64, 128, 32)
    with AliveTokens(2 * layers) as alive:
        sources: list[ReadTokens | Place] = [ReadTokens(tensors, torch.arange(20) + 20 * row) for row in range(rows)]
        for size in sizes:
            band = BandKey(is_prompt=False, tokens=size)
            items = [Item(band=band, source=source, tokens=20) for source in sources]
            sources = [*store.arrange(items, in_order=False)]
    assert store.layer(BandKey(is_prompt=False, tokens=32), layers - 1)[1][:rows, 0, :20].eq(1).all()
    assert limit <= alive.most <= limit + limit / layers

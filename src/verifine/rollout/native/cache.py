"""The KV cache of decoding: a prompt's keys and values once a group, and each row's own, in places that grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import torch
from jaxtyping import Int
from torch import Tensor

from verifine.models.network.attention import Heads
from verifine.rollout.native.decode_step import DecodeStep, PromptBand, RowBand
from verifine.rollout.native.places import BandKey, Item, Place, PlaceStore, ReadTokens, place_tokens
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.shared_prompt import PartialAttention, attend_part

EARLY_TOKENS = 8
"""Up to this length, moving a row's keys and values costs next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How much is answered at a time."""

    rows: int
    """Answers."""
    tokens: int
    """Of all places of the cache, which are up to twice as long as what they hold (`places`)."""
    prompt_tokens: int
    """The longest prompt of a request."""
    own_tokens: int
    """The longest answer."""

    @property
    def samples(self) -> int:
        """The most answers that one request may ask for: they fit however long they become."""
        return max(min(self.rows, (self.tokens - self.prompt_tokens) // self.own_tokens), 1)

    def prompt_band(self, tokens: int) -> BandKey:
        """Where a prompt lies that several rows read."""
        return BandKey(is_prompt=True, tokens=min(place_tokens(tokens), self.prompt_tokens))

    def row_band(self, tokens: int, *, is_shared: bool) -> BandKey:
        """Where a row lies that has so many tokens of its own, with those of its prompt unless that is shared."""
        longest = self.own_tokens + (0 if is_shared else self.prompt_tokens)
        return BandKey(is_prompt=False, tokens=min(place_tokens(tokens), longest))

    def tokens_of(self, prompt_tokens: int, written: Sequence[int], *, is_shared: bool) -> int:
        """The tokens of the places of a request whose answers have so many tokens."""
        before = 0 if is_shared else prompt_tokens
        bands = [self.row_band(before + tokens, is_shared=is_shared) for tokens in written]
        bands += [self.prompt_band(prompt_tokens)] if is_shared else []
        return sum(band.tokens for band in bands)


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """A request that joins, as positions on the axis of the tree that has been read."""

    prompt: Int[Tensor, " prompt"]
    written: Sequence[Int[Tensor, " written"]]
    """What has been read of the answer of each row."""
    is_shared: bool
    """Whether several rows may come to read the prompt. If not, it lies before the row's own tokens."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Prompt:
    """A prompt that several rows read."""

    tokens: int


@dataclass(slots=True)
class _Row:
    """What is held of one row."""

    prompt: _Prompt | None
    """None: its own tokens begin with those of the prompt."""
    own_tokens: int
    source: Place | ReadTokens | None

    @property
    def position(self) -> int:
        """Of its next token in the sequence."""
        return self.own_tokens + (0 if self.prompt is None else self.prompt.tokens)


class SharedRowCache:
    """The attention of decoding: one new token for each row. R rows in the order of their places."""

    def __init__(self, capacity: Capacity, device: torch.device) -> None:
        self._capacity = capacity
        self._device = device
        self._store = PlaceStore(capacity.tokens)
        self._rows: list[_Row] = []
        self._prompts: dict[_Prompt, Place | ReadTokens] = {}
        self._step: DecodeStep | None = None

    @property
    def allocated_tokens(self) -> int:
        return self._store.allocated_tokens

    @property
    def positions(self) -> Int[Tensor, " R"]:
        """The position of each row's next token in its sequence."""
        assert self._step is not None, "nothing has been arranged"
        return self._step.positions

    def admit(self, prefill: Prefill, joining: Sequence[Joining]) -> None:
        """Adds rows behind those that are held; `rearrange` gives them places."""
        tensors = (*prefill.keys, *prefill.values)
        for request in joining:
            prompt = _Prompt(tokens=len(request.prompt)) if request.is_shared else None
            if prompt is not None:
                self._prompts[prompt] = ReadTokens(tensors, request.prompt)
            for written in request.written:
                own = written if prompt is not None else torch.cat((request.prompt, written))
                self._rows.append(_Row(prompt, len(own), ReadTokens(tensors, own) if len(own) else None))

    def rearrange(self, parents: Sequence[int]) -> list[int]:
        """Replaces the rows: new row i continues the old row `parents[i]`. Returns their new order."""
        rows = [_Row(old.prompt, old.own_tokens, old.source) for old in map(self._rows.__getitem__, parents)]
        prompts = list(dict.fromkeys(row.prompt for row in rows if row.prompt is not None))
        items = [
            Item(band=self._capacity.prompt_band(each.tokens), source=self._prompts[each], tokens=each.tokens)
            for each in prompts
        ]
        items += [Item(band=self._band(row), source=row.source, tokens=row.own_tokens) for row in rows]
        # While rows are short, those of a group stand together: multiplying with their prompt is faster then.
        is_early = all(row.prompt is not None and row.own_tokens < EARLY_TOKENS for row in rows)
        places = self._store.arrange(items, in_order=is_early)
        self._prompts = dict(zip(prompts, places, strict=False))
        own = places[len(prompts) :]
        order = sorted(range(len(rows)), key=lambda index: (own[index].band.tokens, own[index].index))
        for row, place in zip(rows, own, strict=True):
            row.source = place
        self._rows = [rows[index] for index in order]
        self._step = self._next_step() if rows else None
        return order

    def advance(self) -> None:
        """Counts the rows' new tokens, which the model has read, as part of their sequences."""
        for row in self._rows:
            row.own_tokens += 1

    def attend(self, heads: Heads) -> Tensor:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        step = self._step
        assert step is not None, "nothing has been arranged"
        query = heads.query.transpose(0, 1).unflatten(1, (heads.key.shape[0], -1))
        key, value = heads.key.transpose(0, 1), heads.value.transpose(0, 1)
        parts = [self._attend_band(band, heads, (query, key, value)) for band in step.row_bands]
        own = parts[0] if len(parts) == 1 else _join(parts)
        if not step.prompt_bands:
            return own.output.flatten(1, 2).transpose(0, 1)
        given = _join([self._attend_prompts(band, heads, query) for band in step.prompt_bands])
        if step.grid_places is not None:
            given = given.at(step.grid_places)
        if step.sharing is None:
            return own.merge(given).flatten(1, 2).transpose(0, 1)
        own.output[step.sharing] = own.at(step.sharing).merge(given)
        return own.output.flatten(1, 2).transpose(0, 1)

    def _attend_band(self, band: RowBand, heads: Heads, new: tuple[Tensor, Tensor, Tensor]) -> PartialAttention:
        query, key, value = (each[band.rows] for each in new) if len(new[0]) > band.count else new
        keys, values = self._store.layer(band.key, heads.layer)
        band.write(keys, key)
        band.write(values, value)
        keys, values = keys[: band.count, :, : band.longest], values[: band.count, :, : band.longest]
        return attend_part(query, keys, values, band.bias(heads.window, query.dtype), heads.scale)

    def _attend_prompts(self, band: PromptBand, heads: Heads, query: Tensor) -> PartialAttention:
        keys, values = self._store.layer(band.key, heads.layer)
        count, grouping = len(band.lengths), band.grouping
        part = attend_part(
            grouping.by_group(query),
            keys[:count, :, : band.longest],
            values[:count, :, : band.longest],
            band.bias(heads.window, query.shape[2], query.dtype),
            heads.scale,
            may_see_none=heads.window is not None,
        )
        return PartialAttention(grouping.by_row(part.output), grouping.by_row(part.total.unsqueeze(-1)).squeeze(-1))

    def _band(self, row: _Row) -> BandKey:
        """With room for its next token."""
        return self._capacity.row_band(row.own_tokens + 1, is_shared=row.prompt is not None)

    def _next_step(self) -> DecodeStep:
        positions = [row.position for row in self._rows]
        row_bands, first = [], 0
        for key, own in groupby(self._rows, key=self._band):
            lengths = [row.own_tokens for row in own]
            row_bands.append(RowBand.of(key, first, lengths, self._device))
            first += len(lengths)
        sharing = [index for index, row in enumerate(self._rows) if row.prompt is not None]
        tensor = partial(torch.tensor, device=self._device)
        if not sharing:
            return DecodeStep(positions=tensor(positions), row_bands=row_bands)
        members: dict[_Prompt, list[int]] = {}
        for index in sharing:
            prompt = self._rows[index].prompt
            assert prompt is not None
            members.setdefault(prompt, []).append(index)
        prompt_bands: list[PromptBand] = []
        grid_place: dict[int, int] = {}
        grids = 0
        placed = {prompt: place for prompt, place in self._prompts.items() if isinstance(place, Place)}
        ordered = sorted(placed.items(), key=lambda each: (each[1].band, each[1].index))
        for key, lying in groupby(ordered, key=lambda each: each[1].band):
            prompts = [prompt for prompt, _ in lying]
            rows = [members[prompt] for prompt in prompts]
            band = PromptBand.of(key, [prompt.tokens for prompt in prompts], rows, positions, self._device)
            prompt_bands.append(band)
            for of_prompt in rows:
                grid_place |= {row: grids + rank for rank, row in enumerate(of_prompt)}
                grids += band.grouping.shape[1]
        places = [grid_place[row] for row in sharing]
        return DecodeStep(
            positions=tensor(positions),
            row_bands=row_bands,
            prompt_bands=prompt_bands,
            sharing=None if len(sharing) == len(self._rows) else tensor(sharing),
            grid_places=None if places == list(range(grids)) else tensor(places),
        )


def _join(parts: Sequence[PartialAttention]) -> PartialAttention:
    if len(parts) == 1:
        return parts[0]
    return PartialAttention(torch.cat([each.output for each in parts]), torch.cat([each.total for each in parts]))

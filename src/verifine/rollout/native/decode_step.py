"""The attention of one decoding step in torch: what all its layers have in common, and how a layer attends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.models.network.attention import Heads, mask_bias
from verifine.rollout.native.places import BandKey, Place, PlaceStore
from verifine.rollout.native.shared_prompt import Grouping, PartialAttention, attend_part


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBand:
    """Rows whose own tokens lie in places of one size. n rows, M longest own part, the new token included."""

    key: BandKey
    rows: slice
    """Of the batch."""
    count: int
    lengths: Int[Tensor, " n"]
    """Own tokens without the new one."""
    token: int | None
    """The index of the new token; None: it is not the same in all rows."""
    longest: int
    _biases: dict[int | None, Tensor | None] = field(default_factory=dict)

    @classmethod
    def of(cls, key: BandKey, first: int, lengths: Sequence[int], device: torch.device) -> RowBand:
        return cls(
            key=key,
            rows=slice(first, first + len(lengths)),
            count=len(lengths),
            lengths=torch.tensor(lengths, device=device),
            token=lengths[0] if len(set(lengths)) == 1 else None,
            longest=max(lengths) + 1,
        )

    def write(self, stored: Float[Tensor, "places Hk tokens D"], new: Float[Tensor, "n Hk D"]) -> None:
        """Appends the new keys or values to each row."""
        if self.token is not None:
            stored[: self.count, :, self.token] = new
        else:
            stored[torch.arange(self.count, device=new.device), :, self.lengths] = new

    def bias(self, window: int | None, dtype: torch.dtype) -> Float[Tensor, "n 1 1 M"] | None:
        """0 where a row sees a key, else minus infinity; None: every row sees every key."""
        if window not in self._biases:
            distance = self.lengths[:, None] - torch.arange(self.longest, device=self.lengths.device)
            sees = (distance >= 0) & (True if window is None else distance < window)
            self._biases[window] = _bias(sees[:, None, None], dtype)
        return self._biases[window]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptBand:
    """Prompts that lie in places of one size. A prompts, J most rows of one, S longest."""

    key: BandKey
    lengths: Int[Tensor, " A"]
    longest: int
    grouping: Grouping
    positions: Int[Tensor, "A J"]
    """Of each row's next token in its sequence."""
    _biases: dict[int | None, Tensor | None] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        key: BandKey,
        lengths: Sequence[int],
        members: Sequence[list[int]],
        positions: Sequence[int],
        device: torch.device,
    ) -> PromptBand:
        """`members`: the rows of each prompt, of rows at these positions."""
        most = max(map(len, members))
        filled = [[*(positions[row] for row in own), *[positions[own[0]]] * (most - len(own))] for own in members]
        return cls(
            key=key,
            lengths=torch.tensor(lengths, device=device),
            longest=max(lengths),
            grouping=Grouping.of(members, len(positions), device),
            positions=torch.tensor(filled, device=device),
        )

    def bias(self, window: int | None, shared: int, dtype: torch.dtype) -> Float[Tensor, "A 1 Q S"] | None:
        """As of `RowBand`, for the queries of a group: Q is 1 without a window, else J * shared."""
        if window not in self._biases:
            prompt = torch.arange(self.longest, device=self.lengths.device)
            sees = (prompt < self.lengths[:, None])[:, None]
            if window is not None:
                sees = (sees & (self.positions[:, :, None] - prompt < window)).repeat_interleave(shared, dim=1)
            self._biases[window] = _bias(sees[:, None], dtype)
        return self._biases[window]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedPrompt:
    """A prompt that several rows read."""

    place: Place
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedRow:
    """A row and what it has of its own, without its new token."""

    place: Place
    tokens: int
    prompt: PlacedPrompt | None
    """None: its own tokens begin with those of the prompt."""

    @property
    def position(self) -> int:
        """Of its next token in the sequence."""
        return self.tokens + (0 if self.prompt is None else self.prompt.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeStep:
    """R rows, of which the `sharing` ones read prompts."""

    row_bands: Sequence[RowBand]
    """They cover the rows in order."""
    prompt_bands: Sequence[PromptBand] = ()
    sharing: Int[Tensor, " sharing"] | None = None
    """The rows that read prompts. None: all of them."""
    grid_places: Int[Tensor, " sharing"] | None = None
    """Where each of them is among the places of the grids of all prompt bands. None: in order."""

    @classmethod
    def of(cls, rows: Sequence[PlacedRow], device: torch.device) -> DecodeStep:
        """`rows`: in the order of their places."""
        row_bands, first = [], 0
        for key, own in groupby(rows, key=lambda row: row.place.band):
            lengths = [row.tokens for row in own]
            row_bands.append(RowBand.of(key, first, lengths, device))
            first += len(lengths)
        members: dict[PlacedPrompt, list[int]] = {}
        for index, row in enumerate(rows):
            if row.prompt is not None:
                members.setdefault(row.prompt, []).append(index)
        if not members:
            return cls(row_bands=row_bands)
        positions = [row.position for row in rows]
        prompt_bands: list[PromptBand] = []
        grid_place: dict[int, int] = {}
        grids = 0
        ordered = sorted(members, key=lambda prompt: (prompt.place.band, prompt.place.index))
        for key, lying in groupby(ordered, key=lambda prompt: prompt.place.band):
            prompts = list(lying)
            own_rows = [members[prompt] for prompt in prompts]
            band = PromptBand.of(key, [prompt.tokens for prompt in prompts], own_rows, positions, device)
            prompt_bands.append(band)
            for of_prompt in own_rows:
                grid_place |= {row: grids + rank for rank, row in enumerate(of_prompt)}
                grids += band.grouping.shape[1]
        sharing = sorted(grid_place)
        places = [grid_place[row] for row in sharing]
        tensor = partial(torch.tensor, device=device)
        return cls(
            row_bands=row_bands,
            prompt_bands=prompt_bands,
            sharing=None if len(sharing) == len(rows) else tensor(sharing),
            grid_places=None if places == list(range(grids)) else tensor(places),
        )

    def attend(self, heads: Heads, store: PlaceStore) -> Float[Tensor, "Hq R D"]:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        query = heads.query.transpose(0, 1).unflatten(1, (heads.key.shape[0], -1))
        key, value = heads.key.transpose(0, 1), heads.value.transpose(0, 1)
        parts = [_attend_band(band, heads, (query, key, value), store) for band in self.row_bands]
        own = parts[0] if len(parts) == 1 else _join(parts)
        if not self.prompt_bands:
            return own.output.flatten(1, 2).transpose(0, 1)
        given = _join([_attend_prompts(band, heads, query, store) for band in self.prompt_bands])
        if self.grid_places is not None:
            given = given.at(self.grid_places)
        if self.sharing is None:
            return own.merge(given).flatten(1, 2).transpose(0, 1)
        own.output[self.sharing] = own.at(self.sharing).merge(given)
        return own.output.flatten(1, 2).transpose(0, 1)


def _attend_band(
    band: RowBand, heads: Heads, new: tuple[Tensor, Tensor, Tensor], store: PlaceStore
) -> PartialAttention:
    query, key, value = (each[band.rows] for each in new) if len(new[0]) > band.count else new
    keys, values = store.layer(band.key, heads.layer)
    band.write(keys, key)
    band.write(values, value)
    keys, values = keys[: band.count, :, : band.longest], values[: band.count, :, : band.longest]
    return attend_part(query, keys, values, band.bias(heads.window, query.dtype), heads.scale)


def _attend_prompts(band: PromptBand, heads: Heads, query: Tensor, store: PlaceStore) -> PartialAttention:
    keys, values = store.layer(band.key, heads.layer)
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


def _join(parts: Sequence[PartialAttention]) -> PartialAttention:
    if len(parts) == 1:
        return parts[0]
    return PartialAttention(torch.cat([each.output for each in parts]), torch.cat([each.total for each in parts]))


def _bias(sees: Bool[Tensor, "*any"], dtype: torch.dtype) -> Float[Tensor, "*any"] | None:
    return None if bool(sees.all()) else mask_bias(sees, dtype)

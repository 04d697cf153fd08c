"""The KV cache of decoding: a prompt's keys and values once a group, and each row's own, in places that grow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.attention import Heads
from verifine.models.network.compiled.kernels import TYPES, Kernels
from verifine.rollout.native.compiled_step import CompiledStep
from verifine.rollout.native.decode_step import DecodeStep, PlacedPrompt, PlacedRow
from verifine.rollout.native.places import BandKey, Item, Place, PlaceStore, ReadTokens, place_tokens
from verifine.rollout.native.prefill import Prefill

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


class SharedRowCache:
    """The attention of decoding: one new token for each row. R rows in the order of their places."""

    def __init__(self, capacity: Capacity, device: torch.device, kernels: Kernels | None = None) -> None:
        """`kernels`: what it attends with, where they know the type; None: torch's operations."""
        self._capacity = capacity
        self._device = device
        self._kernels = kernels
        self._store = PlaceStore(capacity.tokens)
        self._rows: list[_Row] = []
        self._prompts: dict[_Prompt, Place | ReadTokens] = {}
        self._placed: list[PlacedRow] = []
        self._compiled_step: CompiledStep | None = None
        self._torch_step: DecodeStep | None = None

    @property
    def allocated_tokens(self) -> int:
        return self._store.allocated_tokens

    @property
    def positions(self) -> Int[Tensor, " R"]:
        """The position of each row's next token in its sequence."""
        return torch.tensor([row.position for row in self._placed], device=self._device)

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
        self._placed = self._place()
        self._compiled_step, self._torch_step = None, None
        return order

    def advance(self) -> None:
        """Counts the rows' new tokens, which the model has read, as part of their sequences."""
        for row in self._rows:
            row.own_tokens += 1

    def attend(self, heads: Heads) -> Float[Tensor, "Hq R D"]:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        if self._kernels is not None and heads.query.dtype == heads.key.dtype == heads.value.dtype in TYPES:
            self._compiled_step = self._compiled_step or CompiledStep(self._kernels, self._placed)
            return self._compiled_step.attend(heads, self._store)
        self._torch_step = self._torch_step or DecodeStep.of(self._placed, self._device)
        return self._torch_step.attend(heads, self._store)

    def _band(self, row: _Row) -> BandKey:
        """With room for its next token."""
        return self._capacity.row_band(row.own_tokens + 1, is_shared=row.prompt is not None)

    def _place(self) -> list[PlacedRow]:
        placed = {
            prompt: PlacedPrompt(place=place, tokens=prompt.tokens)
            for prompt, place in self._prompts.items()
            if isinstance(place, Place)
        }
        return [
            PlacedRow(
                place=row.source, tokens=row.own_tokens, prompt=None if row.prompt is None else placed[row.prompt]
            )
            for row in self._rows
            if isinstance(row.source, Place)
        ]

"""The KV cache of decoding: a prompt's keys and values once a group, and each row's own in a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.attention import Heads, mask_bias
from verifine.models.network.tree import Tree
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.shared_prompt import Grouping, KeyValues, attend_in_parts, attend_to
from verifine.rollout.native.shared_rows import Arrangement, arrange_with_fewest_copies


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """How much fits into a cache."""

    groups: int
    rows: int
    prompt_tokens: int
    """The tokens of each group's prompt."""
    own_tokens: int
    """The tokens of each row after the prompt."""


class _Store:
    """Keys and values of every layer, in places without gaps.

    Unwritten places are masked where they are read, but they must hold numbers: 0 times NaN is NaN.
    """

    def __init__(self, like: Prefill, places: int, tokens: int) -> None:
        self.keys: list[Float[Tensor, "places Hk tokens D"]] = [
            key.new_zeros(places, key.shape[0], tokens, key.shape[2]) for key in like.keys
        ]
        self.values: list[Float[Tensor, "places Hk tokens D"]] = [
            value.new_zeros(places, value.shape[0], tokens, value.shape[2]) for value in like.values
        ]

    def move(self, arrangement: Arrangement, tokens: int) -> None:
        """Copies the first `tokens` of each place that moves."""
        if not arrangement.sources:
            return
        for tensor in (*self.keys, *self.values):
            tensor[arrangement.targets, :, :tokens] = tensor[arrangement.sources, :, :tokens]


class SharedRowCache:
    """The attention of decoding: one new token for each row.

    Axes: R rows, A groups, J most rows of a group, S longest prompt, M longest own part, each of what is held now.
    Both rows and groups lie without gaps, so no tensor is gathered or copied before it is multiplied.
    """

    def __init__(self, capacity: Capacity, device: torch.device) -> None:
        self._capacity = capacity
        self._device = device
        self._stores: tuple[_Store, _Store] | None = None
        self._prompt_lengths: list[int] = []
        self._groups: list[int] = []
        self._lengths: list[int] = []
        self._metadata = DecodeMetadata.of([], [], [], device)

    @property
    def held_groups(self) -> int:
        return len(self._prompt_lengths)

    @property
    def positions(self) -> Int[Tensor, " R"]:
        """The position of each row's next token in its sequence."""
        return self._metadata.prompt_lengths + self._metadata.lengths

    def admit(self, prefill: Prefill, tree: Tree) -> None:
        """Adds the prompts of a tree behind those that are held, each with one row that has no tokens yet."""
        if self._stores is None:
            prompts = _Store(prefill, self._capacity.groups, self._capacity.prompt_tokens)
            self._stores = prompts, _Store(prefill, self._capacity.rows, self._capacity.own_tokens)
        prompts, _ = self._stores
        held = self.held_groups
        for stored, read in ((prompts.keys, prefill.keys), (prompts.values, prefill.values)):
            for tensor, given in zip(stored, read, strict=True):
                for place, where in enumerate(tree.prompts, start=held):
                    tensor[place, :, : len(where)] = given[:, where]
        self._prompt_lengths += [len(where) for where in tree.prompts]
        self._groups += range(held, held + len(tree.prompts))
        self._lengths += [0] * len(tree.prompts)

    def rearrange(self, arrangement: Arrangement, parents: Sequence[int]) -> None:
        """Replaces the rows: new row i goes to its place in `arrangement` and continues the old row `parents[i]`."""
        if self._stores is None:
            return
        prompts, own = self._stores
        own.move(arrangement, max(self._lengths, default=0))
        self._lengths = [self._lengths[parents[index]] for index in arrangement.order]
        groups = [self._groups[parents[index]] for index in arrangement.order]
        kept = sorted(set(groups))
        if len(kept) < self.held_groups:
            alive = arrange_with_fewest_copies(kept)
            prompts.move(alive, max(self._prompt_lengths))
            new_place = {kept[index]: place for place, index in enumerate(alive.order)}
            self._prompt_lengths = [self._prompt_lengths[kept[index]] for index in alive.order]
            groups = [new_place[group] for group in groups]
        self._groups = groups
        self._metadata = DecodeMetadata.of(self._prompt_lengths, self._groups, self._lengths, self._device)

    def advance(self) -> None:
        """Counts the rows' new tokens, which the model has read, as part of their sequences."""
        self._lengths = [length + 1 for length in self._lengths]

    def attend(self, heads: Heads) -> Tensor:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        assert self._stores is not None, "nothing has been admitted"
        prompts, own = self._stores
        metadata, layer = self._metadata, heads.layer
        rows, groups = len(self._groups), self.held_groups
        keys, values = own.keys[layer], own.values[layer]
        metadata.write(keys, heads.key)
        metadata.write(values, heads.value)
        key_values = KeyValues(
            prompt_keys=prompts.keys[layer][:groups, :, : metadata.longest_prompt],
            prompt_values=prompts.values[layer][:groups, :, : metadata.longest_prompt],
            own_keys=keys[:rows, :, : metadata.longest_own],
            own_values=values[:rows, :, : metadata.longest_own],
        )
        if heads.window is None and self._device.type == "cpu":
            biases = metadata.part_biases(heads.query.dtype)
            return attend_in_parts(key_values, heads.query, metadata.grouping, biases, heads.scale)
        bias = metadata.bias(heads.window, heads.query.dtype)
        return attend_to(key_values, heads.query * heads.scale, metadata.grouping, bias)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeMetadata:
    """What all layers of one decoding step have in common."""

    group_lengths: Int[Tensor, " A"]
    """Tokens of each group's prompt."""
    prompt_lengths: Int[Tensor, " R"]
    lengths: Int[Tensor, " R"]
    """Own tokens of each row, without the new one."""
    token: int | None
    """The index of the new token among its row's own; None: it is not the same in all rows."""
    longest_own: int
    """The length of the longest own part, the new token included."""
    longest_prompt: int
    grouping: Grouping
    biases: dict[int | None, Tensor | None]
    parts: list[tuple[Tensor | None, Tensor | None]]
    """What `part_biases` has made."""

    @classmethod
    def of(
        cls, prompt_lengths: Sequence[int], groups: Sequence[int], lengths: Sequence[int], device: torch.device
    ) -> DecodeMetadata:
        return cls(
            group_lengths=torch.tensor(prompt_lengths, device=device),
            prompt_lengths=torch.tensor([prompt_lengths[group] for group in groups], device=device),
            lengths=torch.tensor(lengths, device=device),
            token=lengths[0] if len(set(lengths)) == 1 else None,
            longest_own=max(lengths, default=0) + 1,
            longest_prompt=max(prompt_lengths, default=0),
            grouping=Grouping.of(groups, len(prompt_lengths), device),
            biases={},
            parts=[],
        )

    def write(self, stored: Float[Tensor, "places Hk tokens D"], new: Float[Tensor, "Hk R D"]) -> None:
        """Appends the new keys or values to each row."""
        rows = new.shape[1]
        if self.token is not None:
            stored[:rows, :, self.token] = new.transpose(0, 1)
        else:
            stored[torch.arange(rows, device=new.device), :, self.lengths] = new.transpose(0, 1)

    def part_biases(
        self, dtype: torch.dtype
    ) -> tuple[Float[Tensor, "A 1 1 S"] | None, Float[Tensor, "R 1 1 M"] | None]:
        """As `bias` without a window, for the prompts and for what rows have written."""
        if not self.parts:
            prompt = torch.arange(self.longest_prompt, device=self.lengths.device) < self.group_lengths[:, None]
            own = torch.arange(self.longest_own, device=self.lengths.device) <= self.lengths[:, None]
            biases = [None if bool(sees.all()) else mask_bias(sees, dtype)[:, None, None] for sees in (prompt, own)]
            self.parts.append((biases[0], biases[1]))
        return self.parts[0]

    def bias(self, window: int | None, dtype: torch.dtype) -> Float[Tensor, "R 1 1 S+M"] | None:
        """0 where a row sees a key, else minus infinity; None: every row sees every key."""
        if window not in self.biases:
            prompt = torch.arange(self.longest_prompt, device=self.lengths.device)
            own = torch.arange(self.longest_own, device=self.lengths.device)
            sees = torch.cat((prompt < self.prompt_lengths[:, None], own <= self.lengths[:, None]), dim=1)
            if window is not None:
                position = torch.cat((prompt.expand(len(sees), -1), own + self.prompt_lengths[:, None]), dim=1)
                sees &= (self.prompt_lengths + self.lengths)[:, None] - position < window
            self.biases[window] = None if bool(sees.all()) else mask_bias(sees, dtype)[:, None, None]
        return self.biases[window]

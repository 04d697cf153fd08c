"""Keys and values of what is being decoded: a prompt's once a group, a stem's own in a place of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.attention import Heads, mask_bias
from verifine.models.tree import Tree
from verifine.rollout.prefill import Prefill
from verifine.rollout.shared_prompt import Grouping, Seen, attend_to
from verifine.rollout.stems import Arrangement, arrange


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What a cache has room for."""

    groups: int
    stems: int
    prompt_tokens: int
    """Of each group."""
    own_tokens: int
    """Of each stem."""


class _Store:
    """Keys and values of every layer, in places without gaps.

    What nobody has written to is masked out where it is read, but must be numbers: 0 times not-a-number is not 0.
    """

    def __init__(self, like: Prefill, places: int, tokens: int) -> None:
        self.keys: list[Float[Tensor, "places Hk tokens D"]] = [
            key.new_zeros(places, key.shape[0], tokens, key.shape[2]) for key in like.keys
        ]
        self.values: list[Float[Tensor, "places Hk tokens D"]] = [
            value.new_zeros(places, value.shape[0], tokens, value.shape[2]) for value in like.values
        ]

    def move(self, arrangement: Arrangement, tokens: int) -> None:
        """Copies the first `tokens` of what has to go elsewhere."""
        if not arrangement.sources:
            return
        for tensor in (*self.keys, *self.values):
            tensor[arrangement.targets, :, :tokens] = tensor[arrangement.sources, :, :tokens]


class StemCache:
    """The attention of decoding: one new token for each stem.

    Axes: R stems, A groups, J most stems of a group, S longest prompt, M longest own part, each of what is held now.
    Both stems and groups lie without gaps, so what is multiplied is neither gathered nor copied before.
    """

    def __init__(self, capacity: Capacity, device: torch.device) -> None:
        self._capacity = capacity
        self._device = device
        self._stores: tuple[_Store, _Store] | None = None
        self._prompt_lengths: list[int] = []
        self._groups: list[int] = []
        self._lengths: list[int] = []
        self._now = _Moment.of([], [], [], device)

    @property
    def held_groups(self) -> int:
        return len(self._prompt_lengths)

    @property
    def positions(self) -> Int[Tensor, " R"]:
        """Where in its sequence each stem's next token stands."""
        return self._now.prompt_lengths + self._now.lengths

    def admit(self, prefill: Prefill, tree: Tree) -> None:
        """Takes in the prompts of a tree, each with a stem that has written nothing yet, behind what is held."""
        if self._stores is None:
            prompts = _Store(prefill, self._capacity.groups, self._capacity.prompt_tokens)
            self._stores = prompts, _Store(prefill, self._capacity.stems, self._capacity.own_tokens)
        prompts, _ = self._stores
        held = self.held_groups
        for stored, read in ((prompts.keys, prefill.keys), (prompts.values, prefill.values)):
            for tensor, given in zip(stored, read, strict=True):
                for place, where in enumerate(tree.prompts, start=held):
                    tensor[place, :, : len(where)] = given[:, where]
        self._prompt_lengths += [len(where) for where in tree.prompts]
        self._groups += range(held, held + len(tree.prompts))
        self._lengths += [0] * len(tree.prompts)

    def rearrange(self, stems: Arrangement, parents: Sequence[int]) -> None:
        """Lays the stems anew: new stem i, which goes to its place in `stems`, continues the one at `parents[i]`."""
        if self._stores is None:
            return
        prompts, own = self._stores
        own.move(stems, max(self._lengths, default=0))
        self._lengths = [self._lengths[parents[index]] for index in stems.order]
        groups = [self._groups[parents[index]] for index in stems.order]
        alive = arrange(sorted(set(groups)))
        if len(alive.order) < self.held_groups:
            kept = sorted(set(groups))
            prompts.move(alive, max(self._prompt_lengths))
            new_place = {kept[index]: place for place, index in enumerate(alive.order)}
            self._prompt_lengths = [self._prompt_lengths[kept[index]] for index in alive.order]
            groups = [new_place[group] for group in groups]
        self._groups = groups
        self._now = _Moment.of(self._prompt_lengths, self._groups, self._lengths, self._device)

    def advance(self) -> None:
        """The stems' new tokens have been read: from now on they are part of what is seen."""
        self._lengths = [length + 1 for length in self._lengths]

    def attend(self, heads: Heads) -> Tensor:
        """Stores the new keys and values [Hk, R, D] and attends with the queries [Hq, R, D]."""
        assert self._stores is not None, "nothing has been admitted"
        prompts, own = self._stores
        now, layer = self._now, heads.layer
        rows, groups = len(self._groups), self.held_groups
        keys, values = own.keys[layer], own.values[layer]
        now.write(keys, heads.key)
        now.write(values, heads.value)
        seen = Seen(
            prompt_keys=prompts.keys[layer][:groups, :, : now.longest_prompt],
            prompt_values=prompts.values[layer][:groups, :, : now.longest_prompt],
            own_keys=keys[:rows, :, : now.seen],
            own_values=values[:rows, :, : now.seen],
        )
        return attend_to(seen, heads.query * heads.scale, now.grouping, now.bias(heads.window, heads.query.dtype))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What one decoding step is about: the same in all layers."""

    prompt_lengths: Int[Tensor, " R"]
    lengths: Int[Tensor, " R"]
    """Own tokens of each stem, without the new one."""
    token: int | None
    """The new token's number among its stem's own; None: the stems differ in it."""
    seen: int
    """The longest own part, the new token included."""
    longest_prompt: int
    grouping: Grouping
    biases: dict[int | None, Tensor | None]

    @classmethod
    def of(
        cls, prompt_lengths: Sequence[int], groups: Sequence[int], lengths: Sequence[int], device: torch.device
    ) -> _Moment:
        return cls(
            prompt_lengths=torch.tensor([prompt_lengths[group] for group in groups], device=device),
            lengths=torch.tensor(lengths, device=device),
            token=lengths[0] if len(set(lengths)) == 1 else None,
            seen=max(lengths, default=0) + 1,
            longest_prompt=max(prompt_lengths, default=0),
            grouping=Grouping.of(groups, len(prompt_lengths), device),
            biases={},
        )

    def write(self, stored: Float[Tensor, "places Hk tokens D"], new: Float[Tensor, "Hk R D"]) -> None:
        """Puts what is new behind what each stem has."""
        rows = new.shape[1]
        if self.token is not None:
            stored[:rows, :, self.token] = new.transpose(0, 1)
        else:
            stored[torch.arange(rows, device=new.device), :, self.lengths] = new.transpose(0, 1)

    def bias(self, window: int | None, dtype: torch.dtype) -> Float[Tensor, "R 1 1 S+M"] | None:
        """0 where a stem sees a key, else minus infinity; None: each sees every key there is."""
        if window not in self.biases:
            prompt = torch.arange(self.longest_prompt, device=self.lengths.device)
            own = torch.arange(self.seen, device=self.lengths.device)
            sees = torch.cat((prompt < self.prompt_lengths[:, None], own <= self.lengths[:, None]), dim=1)
            if window is not None:
                position = torch.cat((prompt.expand(len(sees), -1), own + self.prompt_lengths[:, None]), dim=1)
                sees &= (self.prompt_lengths + self.lengths)[:, None] - position < window
            self.biases[window] = None if bool(sees.all()) else mask_bias(sees, dtype)[:, None, None]
        return self.biases[window]

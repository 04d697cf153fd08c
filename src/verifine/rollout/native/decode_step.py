"""What all layers of one decoding step have in common: which rows lie where, and which keys they see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from verifine.models.network.attention import mask_bias
from verifine.rollout.native.places import BandKey
from verifine.rollout.native.shared_prompt import Grouping


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
class DecodeStep:
    """R rows, of which the `sharing` ones read prompts."""

    positions: Int[Tensor, " R"]
    """Of each row's next token in its sequence."""
    row_bands: Sequence[RowBand]
    """They cover the rows in order."""
    prompt_bands: Sequence[PromptBand] = ()
    sharing: Int[Tensor, " sharing"] | None = None
    """The rows that read prompts. None: all of them."""
    grid_places: Int[Tensor, " sharing"] | None = None
    """Where each of them is among the places of the grids of all prompt bands. None: in order."""


def _bias(sees: Bool[Tensor, "*any"], dtype: torch.dtype) -> Float[Tensor, "*any"] | None:
    return None if bool(sees.all()) else mask_bias(sees, dtype)

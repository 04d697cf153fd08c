"""Attention of one decoding step: to the prompt that a row shares with its group, and to the row's own tokens.

Axes: R rows, A groups, J most rows of a group, Hq query heads, Hk key-value heads, D head size, S longest prompt,
M longest own part. `shared` query heads, which lie side by side, share one key-value head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.attention import FLASH


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which rows belong to which group."""

    shape: tuple[int, int]
    """A and J."""
    grid: Int[Tensor, "A J"] | None = None
    """The rows of each group; a smaller group repeats its first row. None: the rows lie in that order already."""

    @classmethod
    def of(cls, members: Sequence[list[int]], rows: int, device: torch.device) -> Grouping:
        """`members`: the rows of each group, of `rows` rows; each group has at least one."""
        most = max(map(len, members))
        grid = [[*own, *own[:1] * (most - len(own))] for own in members]
        is_in_order = [row for own in grid for row in own] == list(range(rows))
        return cls(shape=(len(grid), most), grid=None if is_in_order else torch.tensor(grid, device=device))

    def by_group(self, rows: Float[Tensor, "R Hk shared X"]) -> Float[Tensor, "A Hk J*shared X"]:
        """Brings the rows of each group together, to be multiplied with the keys or values of its prompt."""
        placed = rows if self.grid is None else rows[self.grid.flatten()]
        grouped: Tensor = placed.unflatten(0, self.shape).transpose(1, 2).flatten(2, 3)
        return grouped

    def by_row(self, grouped: Float[Tensor, "A Hk J*shared X"]) -> Float[Tensor, "A*J Hk shared X"]:
        """Undoes `by_group`, but gives a line for each place of the grid."""
        placed: Tensor = grouped.unflatten(2, (self.shape[1], -1)).transpose(1, 2).flatten(0, 1)
        return placed


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """The keys and values that a layer's rows attend to."""

    prompt_keys: Float[Tensor, "A Hk S D"]
    prompt_values: Float[Tensor, "A Hk S D"]
    own_keys: Float[Tensor, "R Hk M D"]
    own_values: Float[Tensor, "R Hk M D"]


def attend_to(
    key_values: KeyValues,
    queries: Float[Tensor, "Hq R D"],
    grouping: Grouping,
    bias: Float[Tensor, "R 1 1 S+M"] | None,
) -> Float[Tensor, "Hq R D"]:
    """Softmax attention of one new token per row; `queries` are already scaled, `bias` is added to each row's scores.

    Rows lie in the order of their groups, which are equally large. A prompt's keys are multiplied with the queries of
    its whole group at once and never copied.
    """
    query = queries.transpose(0, 1).unflatten(1, (key_values.own_keys.shape[1], -1))
    to_prompt = grouping.by_row(grouping.by_group(query) @ key_values.prompt_keys.transpose(-1, -2))
    scores = torch.cat((to_prompt, query @ key_values.own_keys.transpose(-1, -2)), dim=-1)
    if bias is not None:
        scores += bias
    lengths = (key_values.prompt_keys.shape[2], key_values.own_keys.shape[2])
    on_prompt, on_own = torch.softmax(scores, dim=-1).split(lengths, dim=-1)
    on_both: Tensor = (
        grouping.by_row(grouping.by_group(on_prompt) @ key_values.prompt_values) + on_own @ key_values.own_values
    )
    return on_both.flatten(1, 2).transpose(0, 1)


@dataclass(frozen=True, slots=True)
class PartialAttention:
    """Softmax attention to some of the keys that a row sees. B rows or groups, Q queries of each."""

    output: Float[Tensor, "B Hk Q D"]
    total: Float[Tensor, "B Hk Q"]
    """The log of the sum of the exponentials of the scores; minus infinity where no key is seen."""

    def at(self, places: Int[Tensor, " X"]) -> PartialAttention:
        return PartialAttention(self.output[places], self.total[places])

    def merge(self, other: PartialAttention) -> Float[Tensor, "B Hk Q D"]:
        """Attention to the keys of both: sigmoid(l - l') o + sigmoid(l' - l) o' of outputs o and totals l."""
        share = torch.sigmoid_(other.total.unsqueeze(-1) - self.total.unsqueeze(-1))
        exact = share.dtype
        return torch.lerp(self.output.to(exact), other.output.to(exact), share).to(self.output.dtype)


def attend_part(
    query: Float[Tensor, "B Hk Q D"],
    keys: Float[Tensor, "B Hk K D"],
    values: Float[Tensor, "B Hk K D"],
    bias: Float[Tensor, "B 1 Q|1 K"] | None,
    scale: float,
    *,
    may_see_none: bool = False,
) -> PartialAttention:
    """Attends with queries that are not scaled yet. `may_see_none`: a query may see none of these keys."""
    if query.device.type == "cpu" and not may_see_none:
        output, total = FLASH(query, keys, values, attn_mask=bias, scale=scale)
        return PartialAttention(output, total)
    scores = ((query * scale) @ keys.transpose(-1, -2)).to(torch.promote_types(query.dtype, torch.float32))
    if bias is not None:
        scores += bias
    total = scores.logsumexp(dim=-1)
    shares = torch.exp(scores - total.clamp(min=torch.finfo(total.dtype).min).unsqueeze(-1))
    return PartialAttention(shares.to(values.dtype) @ values, total)

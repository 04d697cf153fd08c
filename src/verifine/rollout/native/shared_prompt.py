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
    place: Int[Tensor, " R"] | None = None
    """Where in the grid each row is. None where `grid` is None."""

    @classmethod
    def of(cls, groups: Sequence[int], count: int, device: torch.device) -> Grouping:
        """Groups rows: row r belongs to `groups[r]`, one of `count` groups, each of which has at least one row."""
        members: list[list[int]] = [[] for _ in range(count)]
        ranks = []
        for row, group in enumerate(groups):
            ranks.append(len(members[group]))
            members[group].append(row)
        most = max(map(len, members), default=0)
        grid = [[*rows, *rows[:1] * (most - len(rows))] for rows in members]
        if [row for rows in grid for row in rows] == list(range(len(groups))):
            return cls(shape=(count, most))
        place = [group * most + rank for group, rank in zip(groups, ranks, strict=True)]
        return cls(
            shape=(count, most),
            grid=torch.tensor(grid, device=device),
            place=torch.tensor(place, device=device),
        )

    def by_group(self, rows: Float[Tensor, "R Hk shared X"]) -> Float[Tensor, "A Hk J*shared X"]:
        """Brings the rows of each group together, to be multiplied with the keys or values of its prompt."""
        placed = rows if self.grid is None else rows[self.grid.flatten()]
        grouped: Tensor = placed.unflatten(0, self.shape).transpose(1, 2).flatten(2, 3)
        return grouped

    def by_row(self, grouped: Float[Tensor, "A Hk J*shared X"]) -> Float[Tensor, "R Hk shared X"]:
        """Undoes `by_group`."""
        placed: Tensor = grouped.unflatten(2, (self.shape[1], -1)).transpose(1, 2).flatten(0, 1)
        return placed if self.place is None else placed[self.place]


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

    A prompt's keys are multiplied with the queries of its whole group at once and never copied.
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


def attend_in_parts(
    key_values: KeyValues,
    queries: Float[Tensor, "Hq R D"],
    grouping: Grouping,
    biases: tuple[Float[Tensor, "A 1 1 S"] | None, Float[Tensor, "R 1 1 M"] | None],
    scale: float,
) -> Float[Tensor, "Hq R D"]:
    """The same as `attend_to` in fewer and faster operations: torch's flash attention for CPUs, to each part alone.

    With o and l the output and the log of the sum of exponentials of each part, the result is
    sigmoid(l_prompt - l_own) o_prompt + sigmoid(l_own - l_prompt) o_own. `biases` are those of prompts and of rows; a
    row must see a token of its prompt. `queries` are not scaled yet.
    """
    query = queries.transpose(0, 1).unflatten(1, (key_values.own_keys.shape[1], -1))
    on_prompt, prompt_total = FLASH(
        grouping.by_group(query),
        key_values.prompt_keys,
        key_values.prompt_values,
        attn_mask=biases[0],
        scale=scale,
    )
    on_own, own_total = FLASH(query, key_values.own_keys, key_values.own_values, attn_mask=biases[1], scale=scale)
    share = torch.sigmoid_(grouping.by_row(prompt_total.unsqueeze(-1)) - own_total.unsqueeze(-1))
    exact = share.dtype
    on_both = torch.lerp(on_own.to(exact), grouping.by_row(on_prompt).to(exact), share).to(queries.dtype)
    return on_both.flatten(1, 2).transpose(0, 1)

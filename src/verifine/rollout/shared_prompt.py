"""What one decoding step attends to: the prompt that a row shares with its group, and what is the row's own.

Axes: R rows, A groups, J most rows of a group, Hq query heads, Hk key-value heads, D head size, S longest prompt,
M longest own part. The query heads that share a key-value head stand side by side, `shared` of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which rows belong to which group."""

    shape: tuple[int, int]
    """A and J."""
    grid: Int[Tensor, "A J"] | None = None
    """The rows of each group; a group that has fewer repeats one of them. None: they lie in that order already."""
    place: Int[Tensor, " R"] | None = None
    """Where in the grid each row is. None with `grid`."""

    @classmethod
    def of(cls, groups: Sequence[int], count: int, device: torch.device) -> Grouping:
        """The grouping of rows that belong to `groups`, of which there are `count`; each has a row at least."""
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
        """The rows, those of a group together, to be multiplied with what the group shares."""
        placed = rows if self.grid is None else rows[self.grid.flatten()]
        grouped: Tensor = placed.unflatten(0, self.shape).transpose(1, 2).flatten(2, 3)
        return grouped

    def by_row(self, grouped: Float[Tensor, "A Hk J*shared X"]) -> Float[Tensor, "R Hk shared X"]:
        """What `by_group` did, undone."""
        placed: Tensor = grouped.unflatten(2, (self.shape[1], -1)).transpose(1, 2).flatten(0, 1)
        return placed if self.place is None else placed[self.place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The keys and values that a layer's rows attend to."""

    prompt_keys: Float[Tensor, "A Hk S D"]
    prompt_values: Float[Tensor, "A Hk S D"]
    own_keys: Float[Tensor, "R Hk M D"]
    own_values: Float[Tensor, "R Hk M D"]


def attend_to(
    seen: Seen,
    queries: Float[Tensor, "Hq R D"],
    grouping: Grouping,
    bias: Float[Tensor, "R 1 1 S+M"] | None,
) -> Float[Tensor, "Hq R D"]:
    """Softmax attention of one new token a row; `queries` are scaled, `bias` is added to the scores of each row.

    A prompt's keys are multiplied with the queries of its whole group at once and never copied.
    """
    query = queries.transpose(0, 1).unflatten(1, (seen.own_keys.shape[1], -1))
    to_prompt = grouping.by_row(grouping.by_group(query) @ seen.prompt_keys.transpose(-1, -2))
    scores = torch.cat((to_prompt, query @ seen.own_keys.transpose(-1, -2)), dim=-1)
    if bias is not None:
        scores += bias
    lengths = (seen.prompt_keys.shape[2], seen.own_keys.shape[2])
    on_prompt, on_own = torch.softmax(scores, dim=-1).split(lengths, dim=-1)
    on_both: Tensor = grouping.by_row(grouping.by_group(on_prompt) @ seen.prompt_values) + on_own @ seen.own_values
    return on_both.flatten(1, 2).transpose(0, 1)

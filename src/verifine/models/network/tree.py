"""Prompts and their completions on one flat axis, with nothing stored or computed twice.

A beginning that several prompts or completions share is read once, and there is no padding. A token attends to its own
past only, so the result is that of reading every sequence alone. A prediction that completions share, of the same token
from the same past, is computed once.

The last token of a completion predicts nothing and is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from verifine.models.network.blocks import Block, partition
from verifine.models.network.trie import Tokens, Trie, lay_out


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One prompt and the completions that continue it."""

    prompt: Tokens
    completions: Sequence[Tokens] = ()
    predicted: Sequence[Sequence[int]] | None = None
    """The places of each completion's tokens that are predicted; the others are only read. None: every token is."""

    def readings(self) -> list[Tokens]:
        """The sequences that are read: the prompt, and the prompt with each completion up to its last token."""
        return [self.prompt, *(self.prompt + completion[:-1] for completion in self.completions)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The input of a forward pass. Axes: T flat input tokens, U distinct predictions, N predicted (action) tokens."""

    token_ids: Int[Tensor, " T"]
    position_ids: Int[Tensor, " T"]
    ends: Int[Tensor, " T"]
    """Query q sees key k if and only if `k <= q < ends[k]`."""
    blocks: tuple[Block, ...]
    """Which queries attend together; they cover T in order."""
    prompts: tuple[Int[Tensor, " prompt_length"], ...]
    """For each branch, the positions of its prompt's tokens on T."""
    predecessors: Int[Tensor, " U"]
    """The position on T of the hidden state that a token is predicted from."""
    targets: Int[Tensor, " U"]
    """The token that is predicted."""
    occurrences: Int[Tensor, " N"]
    """The prediction of each predicted token, ordered by branch, completion and time."""

    def sees(self, block: Block, window: int | None = None) -> Bool[Tensor, "Q K"]:
        """Which keys each query of a block sees: those of the context ranges, then those of the block itself.

        `window`: how many positions back a query sees, its own included; None: all of them.
        """
        inside = torch.arange(block.start, block.stop, device=self.ends.device)
        parts = [torch.arange(*span, device=self.ends.device) for span in block.context]
        keys, queries = torch.cat((*parts, inside)), inside[:, None]
        seen = (keys <= queries) & (queries < self.ends[keys])
        if window is not None:
            seen &= self.position_ids[queries] - self.position_ids[keys] < window
        return seen

    def spread(self, predictions: Shaped[Tensor, " U *rest"]) -> Shaped[Tensor, " N *rest"]:
        """Expands values of predictions to values of predicted tokens."""
        return predictions[self.occurrences]


def grow_tree(branches: Sequence[Branch], device: torch.device | None = None) -> Tree:
    """Lays `branches` out on the flat axis."""
    trie = lay_out([reading for branch in branches for reading in branch.readings()])
    prompts: list[Tensor] = []
    predecessors: list[int] = []
    targets: list[int] = []
    paths = iter(trie.paths)
    for branch in branches:
        prompts.append(torch.tensor(next(paths), dtype=torch.long, device=device))
        for completion, places in zip(branch.completions, branch.predicted or repeat(None), strict=False):
            path = next(paths)
            if completion and places is None:
                predecessors += path[len(branch.prompt) - 1 :]
                targets += completion
            elif completion and places is not None:
                predecessors += [path[len(branch.prompt) - 1 + place] for place in places]
                targets += [completion[place] for place in places]
    return _tree(trie, tuple(prompts), _distinct(predecessors, targets), device)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Predictions:
    predecessors: Int[Tensor, " U"]
    targets: Int[Tensor, " U"]
    occurrences: Int[Tensor, " N"]


def _distinct(predecessors: Sequence[int], targets: Sequence[int]) -> _Predictions:
    """Every pair of a predecessor and a target once."""
    pairs = torch.tensor([predecessors, targets], dtype=torch.long)
    distinct, occurrences = torch.unique(pairs, dim=1, return_inverse=True)
    return _Predictions(predecessors=distinct[0], targets=distinct[1], occurrences=occurrences)


def _tree(trie: Trie, prompts: tuple[Tensor, ...], predictions: _Predictions, device: torch.device | None) -> Tree:
    return Tree(
        token_ids=torch.tensor(trie.token_ids, dtype=torch.long, device=device),
        position_ids=torch.tensor(trie.position_ids, dtype=torch.long, device=device),
        ends=torch.tensor(trie.ends, dtype=torch.long, device=device),
        blocks=partition(trie.ends),
        prompts=prompts,
        predecessors=predictions.predecessors.to(device),
        targets=predictions.targets.to(device),
        occurrences=predictions.occurrences.to(device),
    )

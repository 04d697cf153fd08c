"""Prompts and their completions on one flat axis, with nothing stored or computed twice.

A tree lays out `[common prefix | rest of prompt 1 | its completions | rest of prompt 2 | ...]` on one axis T. What all
prompts begin with is read once, what the completions of a group share is read once, and there is no padding. A token
attends to its own past only, so the result is that of reading every sequence alone.

The last token of a completion predicts nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

JOINT_COMPLETION_TOKENS = 512
"""Up to so many completion tokens, a group's completions attend in one masked block; above, the masked-out part
(all but one in G) costs more than G smaller calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One prompt and the completions that continue it."""

    prompt: Sequence[int]
    completions: Sequence[Sequence[int]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A range of queries that attends to some earlier ranges and, causally, to itself."""

    start: int
    stop: int
    context: tuple[tuple[int, int], ...]
    """Ranges of T that every query of the block sees whole, in order."""
    mask: Bool[Tensor, "Q K"]
    """What each query sees of the keys: the context ranges, then the block itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What the model reads. Axes: T flat input tokens, N predicted (action) tokens."""

    token_ids: Int[Tensor, " T"]
    position_ids: Int[Tensor, " T"]
    blocks: tuple[Block, ...]
    prompts: tuple[Int[Tensor, " prompt_length"], ...]
    """For each branch, where on T its prompt's tokens stand."""
    predecessors: Int[Tensor, " N"]
    """Where on T the hidden state stands that predicts each completion token, by branch, completion and time."""
    targets: Int[Tensor, " N"]
    """The completion tokens."""


def count_tokens(branch: Branch) -> int:
    """The input tokens a branch needs when it shares nothing with another."""
    return len(branch.prompt) + sum(max(len(completion) - 1, 0) for completion in branch.completions)


def grow_tree(branches: Sequence[Branch], device: torch.device | None = None) -> Tree:
    """Lays `branches` out on the flat axis."""
    common = common_prefix_length([branch.prompt for branch in branches])
    token_ids = list(branches[0].prompt[:common])
    position_ids = list(range(common))
    blocks = [_causal_block(0, common, ())] if common else []
    prompts: list[Tensor] = []
    predecessors: list[int] = []
    targets: list[int] = []
    for branch in branches:
        stem = len(token_ids)
        bounds = [stem]
        token_ids += branch.prompt[common:]
        position_ids += range(common, len(branch.prompt))
        bounds.append(len(token_ids))
        prompts.append(torch.cat((torch.arange(common), torch.arange(stem, len(token_ids)))))
        last_of_prompt = len(token_ids) - 1 if len(branch.prompt) > common else common - 1
        for completion in branch.completions:
            first = len(token_ids)
            token_ids += completion[:-1]
            position_ids += range(len(branch.prompt), len(branch.prompt) + len(completion) - 1)
            bounds.append(len(token_ids))
            if completion:
                predecessors += [last_of_prompt, *range(first, len(token_ids))]
                targets += completion
        blocks += _blocks(common, bounds)
    return Tree(
        token_ids=torch.tensor(token_ids, device=device),
        position_ids=torch.tensor(position_ids, device=device),
        blocks=tuple(_to(block, device) for block in blocks),
        prompts=tuple(prompt.to(device) for prompt in prompts),
        predecessors=torch.tensor(predecessors, dtype=torch.long, device=device),
        targets=torch.tensor(targets, dtype=torch.long, device=device),
    )


def common_prefix_length(prompts: Sequence[Sequence[int]]) -> int:
    """How many tokens all prompts begin with; 0 for a single prompt, which shares with nobody."""
    if len(prompts) < 2:
        return 0
    # The smallest and the largest in dictionary order differ earliest, so they decide for all.
    first, last = min(map(tuple, prompts)), max(map(tuple, prompts))
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return min(length, *(len(prompt) for prompt in prompts))


def _blocks(common: int, bounds: Sequence[int]) -> list[Block]:
    """The blocks of one branch, whose prompt rest and completions lie between consecutive `bounds`."""
    stem, prompt_end, end = bounds[0], bounds[1], bounds[-1]
    prefix = ((0, common),) if common else ()
    if end == stem:
        return []
    if end - prompt_end <= JOINT_COMPLETION_TOKENS:
        return [_joint_block(prefix, bounds)]
    prompt_block = [_causal_block(stem, prompt_end, prefix)] if prompt_end > stem else []
    context = (*prefix, (stem, prompt_end)) if prompt_end > stem else prefix
    completions = [_causal_block(a, b, context) for a, b in pairwise(bounds[1:]) if b > a]
    return prompt_block + completions


def _causal_block(start: int, stop: int, context: tuple[tuple[int, int], ...]) -> Block:
    seen = sum(b - a for a, b in context)
    mask = torch.ones(stop - start, seen + stop - start, dtype=torch.bool).tril(diagonal=seen)
    return Block(start=start, stop=stop, context=context, mask=mask)


def _joint_block(prefix: tuple[tuple[int, int], ...], bounds: Sequence[int]) -> Block:
    """Prompt rest and completions at once: each completion sees the prompt and itself, not its siblings."""
    block = _causal_block(bounds[0], bounds[-1], prefix)
    lengths = torch.tensor([b - a for a, b in pairwise(bounds)])
    segment = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    kin = (segment == 0)[None, :] | (segment[:, None] == segment[None, :])
    seen = block.mask.shape[1] - len(segment)
    mask = block.mask.clone()
    mask[:, seen:] &= kin
    return Block(start=block.start, stop=block.stop, context=prefix, mask=mask)


def _to(block: Block, device: torch.device | None) -> Block:
    return Block(start=block.start, stop=block.stop, context=block.context, mask=block.mask.to(device))

"""The rollouts of a step as they are written, with the numbers of each token."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float
from torch import Tensor

from verifine.runs.rollouts import GradedGroup, TokenNumbers
from verifine.training.step import StepResult
from verifine.types import Prompt, Rollout

Learned = Mapping[str, Mapping[int, TokenNumbers]]
"""By the prompt's id and the place of the rollout in its group."""

TextEnds = Callable[[Rollout], Sequence[int]]
"""How many characters of an answer's text are complete after each of its tokens."""


def graded_groups(
    result: StepResult, prompt_text: Callable[[Prompt], str], text_ends: TextEnds | None
) -> list[GradedGroup]:
    """Every group of a step. One that was left out has advantages of 0: it moved nothing."""
    rollouts, training_batch = result.rollouts, result.training_batch
    advantages = [] if training_batch is None else training_batch.rollout_advantages().tolist()
    kept = () if training_batch is None else rollouts.kept_groups
    by_prompt = {group.prompt.id: row for group, row in zip(kept, advantages, strict=True)}
    learned = _learned(result)
    return [
        GradedGroup(
            group=group,
            prompt=prompt_text(group.prompt),
            rewards=rewards[: len(group.rollouts)],
            advantages=by_prompt.get(group.prompt.id, [0.0] * len(group.rollouts))[: len(group.rollouts)],
            chosen=chosen[: len(group.rollouts)],
            tokens=[
                _with_text(text_ends, rollout, learned.get(group.prompt.id, {}).get(place))
                for place, rollout in enumerate(group.rollouts)
            ],
        )
        for group, rewards, chosen in zip(
            rollouts.groups, rollouts.rewards.tolist(), (rollouts.chosen | ~rollouts.valid).tolist(), strict=True
        )
    ]


def _with_text(text_ends: TextEnds | None, rollout: Rollout, learned: TokenNumbers | None) -> TokenNumbers:
    """`learned` None: no update read the rollout."""
    known = TokenNumbers.unknown(len(rollout.token_ids)) if learned is None else learned
    if text_ends is None:
        return known
    return replace(known, text_ends=np.asarray(text_ends(rollout), dtype=np.int32))


def _learned(result: StepResult) -> Learned:
    if result.training_batch is None:
        return {}
    batch, size = result.training_batch.batch, result.training_batch.batch.group_size
    advantage = _to_numpy(result.training_batch.advantages.advantages)
    unknown = np.full(len(advantage), np.nan, dtype=np.float16)
    entropy = unknown if result.tokens is None else _to_numpy(result.tokens.entropy)
    ratio = unknown if result.tokens is None else _to_numpy(result.tokens.ratio)
    rows = batch.row.cpu().numpy()
    found: dict[str, dict[int, TokenNumbers]] = {group.prompt.id: {} for group in batch.groups}
    # The tokens of a rollout lie end to end, so each rollout is one slice.
    starts = np.flatnonzero(np.diff(rows, prepend=-1)).tolist()
    for start, end in pairwise([*starts, len(rows)]):
        group, sample = batch.groups[int(rows[start]) // size], int(rows[start]) % size
        rollout = group.rollouts[sample]
        found[group.prompt.id][sample] = TokenNumbers(
            entropy=_at_actions(rollout, entropy[start:end]),
            ratio=_at_actions(rollout, ratio[start:end]),
            advantage=_at_actions(rollout, advantage[start:end]),
            text_ends=np.full(len(rollout.token_ids), -1, dtype=np.int32),
        )
    return found


def _at_actions(rollout: Rollout, values: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """Numbers of the action tokens in their places in the answer; NaN at forced tokens."""
    if not rollout.forced:
        return values
    placed = np.full(len(rollout.token_ids), np.nan, dtype=np.float16)
    placed[np.asarray(rollout.actions, dtype=np.int64)] = values
    return placed


def _to_numpy(values: Float[Tensor, " N"]) -> npt.NDArray[np.float16]:
    """A number that is too large for float16 becomes infinite."""
    return values.to(torch.float16).cpu().numpy()

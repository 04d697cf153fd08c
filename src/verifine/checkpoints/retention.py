"""Which checkpoints are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def kept_steps(steps: Collection[int], scores: Mapping[int, float], *, last: int, best: int) -> set[int]:
    """The `last` newest of `steps`, and the `best` of them with the highest scores; of equal scores, the earlier steps.

    The newest is always kept, because a run without a checkpoint cannot be resumed.
    """
    newest = sorted(steps)[-max(last, 1) :]
    return {*newest, *best_steps({step: score for step, score in scores.items() if step in steps}, best)}


def best_steps(scores: Mapping[int, float], count: int) -> list[int]:
    """The steps with the highest scores, the best first; of equal scores, the earlier steps."""
    return sorted(scores, key=lambda step: (-scores[step], step))[:count]

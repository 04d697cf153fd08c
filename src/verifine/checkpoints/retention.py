"""Which checkpoints are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def kept_steps(steps: Collection[int], scores: Mapping[int, float], *, last: int, best: int) -> set[int]:
    """The `last` newest of `steps`, and the `best` of them with the highest scores; of equal scores, the earlier steps.

    The newest is always kept, because a run without a checkpoint cannot be resumed.
    """
    newest = sorted(steps)[-max(last, 1) :]
    scored = sorted((step for step in steps if step in scores), key=lambda step: (-scores[step], step))
    return {*newest, *scored[:best]}

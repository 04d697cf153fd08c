"""Which checkpoints stay."""

from __future__ import annotations

from collections.abc import Collection, Mapping


def kept_steps(steps: Collection[int], scores: Mapping[int, float], *, last: int, best: int) -> set[int]:
    """The `last` newest of `steps`, and of those that have a score the `best` highest; of equals the earlier.

    The newest stays whatever is asked: a run without a checkpoint cannot be gone on with.
    """
    newest = sorted(steps)[-max(last, 1) :]
    scored = sorted((step for step in steps if step in scores), key=lambda step: (-scores[step], step))
    return {*newest, *scored[:best]}

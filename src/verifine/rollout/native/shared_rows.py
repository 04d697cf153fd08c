"""Rollouts of a group that have the same tokens so far share one row of the decoding batch.

The samples of a prompt begin with the same distribution, and keep the same one for as long as they draw the same
tokens. Until then they share a *row*: one sequence of keys and values, computed once. A row splits where its samples
draw different tokens. A trained policy often answers nearly alike, and then a group of eight costs little more than
one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from verifine.rollout.scheduler import Constraint, Request


@dataclass(slots=True, kw_only=True)
class SharedRow:
    """An unfinished answer that one or more samples of a group have in common."""

    request: Request
    samples: list[int]
    """The samples of the request that have written this."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    constraint: Constraint | None = None
    """What its next token has to be. None: the request has no constraint."""

    @classmethod
    def begin(cls, request: Request) -> SharedRow:
        """The row of all samples of a request, without tokens."""
        constrain = None if request.changes is None else request.changes.constrain
        return cls(
            request=request,
            samples=list(range(len(request.keys))),
            constraint=None if constrain is None else constrain(),
        )


def split(row: SharedRow, drawn: Sequence[tuple[int, float]]) -> list[SharedRow]:
    """The row's continuations: one for each different (token, log-probability) that its samples have drawn."""
    if len(drawn) == 1:  # most rows of a long answer belong to a single sample
        token, logprob = drawn[0]
        row.token_ids.append(token)
        row.logprobs.append(logprob)
        if row.constraint is not None:
            row.constraint.accept(token)
        return [row]
    samples_by_draw: dict[tuple[int, float], list[int]] = {}
    for sample, pair in zip(row.samples, drawn, strict=True):
        samples_by_draw.setdefault(pair, []).append(sample)
    return [
        SharedRow(
            request=row.request,
            samples=samples,
            token_ids=[*row.token_ids, token],
            logprobs=[*row.logprobs, logprob],
            constraint=_continued(row.constraint, token),
        )
        for (token, logprob), samples in samples_by_draw.items()
    ]


def _continued(constraint: Constraint | None, token_id: int) -> Constraint | None:
    if constraint is None:
        return None
    copied = constraint.copy()
    copied.accept(token_id)
    return copied


def places_with_fewest_copies(old: Sequence[int | None]) -> list[int]:
    """A place for each item, without gaps, so that as few as possible change it.

    `old`: where its contents are now; several items may continue the same. None: it comes from elsewhere.
    """
    places: list[int | None] = [None] * len(old)
    waiting: list[int] = []
    taken: set[int] = set()
    for item, place in enumerate(old):
        if place is not None and place < len(old) and place not in taken:
            taken.add(place)
            places[item] = place
        else:
            waiting.append(item)
    # A place that is still free belonged to something without a continuation, so overwriting it loses nothing.
    free = iter(place for place in range(len(old)) if place not in taken)
    for item in waiting:
        places[item] = next(free)
    return [place for place in places if place is not None]

"""What the samples of a group have written alike, kept and computed once.

Samples of one prompt begin with the same distribution, and go on with the same one for as long as they have drawn the
same tokens. Such samples share a *stem*: one row of the decoding batch, one sequence of keys and values. A stem splits
where its samples draw different tokens. A trained policy often answers nearly alike, and then a group of eight costs
little more than one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from verifine.types import Prompt


@dataclass(slots=True, kw_only=True)
class Stem:
    """An unfinished beginning of some samples' answers."""

    prompt: Prompt
    samples: list[int]
    """Which of the group's samples have written this."""
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


def split(stem: Stem, drawn: Sequence[tuple[int, float]]) -> list[Stem]:
    """The stem's continuations, one for each different token that its samples have drawn, with its log-probability."""
    if len(drawn) == 1:  # most stems of a long answer are a single sample's
        token, logprob = drawn[0]
        stem.token_ids.append(token)
        stem.logprobs.append(logprob)
        return [stem]
    takers: dict[tuple[int, float], list[int]] = {}
    for sample, pair in zip(stem.samples, drawn, strict=True):
        takers.setdefault(pair, []).append(sample)
    return [
        Stem(
            prompt=stem.prompt,
            samples=samples,
            token_ids=[*stem.token_ids, token],
            logprobs=[*stem.logprobs, logprob],
        )
        for (token, logprob), samples in takers.items()
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Where things go so that they lie without gaps, and what has to be moved for it."""

    order: list[int]
    """For each new place, which of the given things stands there."""
    sources: list[int]
    targets: list[int]
    """What stood in old place `sources[i]` is copied to new place `targets[i]`, all at once."""


def arrange_all(parents: Sequence[int]) -> Arrangement:
    """Places in the order given, so that what follows each other stays together, however much is moved."""
    return Arrangement(
        order=list(range(len(parents))),
        sources=[parent for place, parent in enumerate(parents) if place != parent],
        targets=[place for place, parent in enumerate(parents) if place != parent],
    )


def arrange(parents: Sequence[int]) -> Arrangement:
    """Places for things that each come from the old place `parents[i]`, moving as few as can be."""
    places: list[int | None] = [None] * len(parents)
    waiting: list[int] = []
    for index, parent in enumerate(parents):
        if parent < len(places) and places[parent] is None:
            places[parent] = index
        else:
            waiting.append(index)
    # A place that is still free belonged to something that has no continuation, so nothing that is needed is lost.
    free = [place for place, index in enumerate(places) if index is None]
    for place, index in zip(free, waiting, strict=True):
        places[place] = index
    return Arrangement(
        order=[index for index in places if index is not None],
        sources=[parents[index] for index in waiting],
        targets=free,
    )

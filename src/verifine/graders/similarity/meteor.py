"""METEOR of one text against one reference (Lavie and Agarwal, 2007), without synonyms."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

from verifine.graders.similarity.porter import stem

RECALL_WEIGHT = 0.9
FRAGMENTATION_WEIGHT = 0.5
FRAGMENTATION_POWER = 3

_Words = list[tuple[int, str]]
"""Words with their places in the text."""


def meteor(words: Sequence[str], reference: Sequence[str]) -> float:
    """As NLTK's `meteor_score` with a WordNet that knows no word.

    The harmonic mean of precision and recall, nine tenths of it recall, less up to a half for words in another order:
    half of (runs of matches / matches) cubed. Words match that are equal, then those with the same stem; each finds
    the last one that is left, beginning at the end.
    """
    matches = _match_words(words, reference)
    if not matches:
        return 0.0
    precision, recall = len(matches) / len(words), len(matches) / len(reference)
    mean = precision * recall / (RECALL_WEIGHT * precision + (1 - RECALL_WEIGHT) * recall)
    fragmentation = _count_chunks(matches) / len(matches)
    return (1 - FRAGMENTATION_WEIGHT * fragmentation**FRAGMENTATION_POWER) * mean


def _match_words(words: Sequence[str], reference: Sequence[str]) -> list[tuple[int, int]]:
    """The places of words that match, each place in at most one pair, in the order of the text."""
    equal, text_rest, reference_rest = _match_equal(list(enumerate(words)), list(enumerate(reference)))
    akin, _, _ = _match_equal(_stemmed(text_rest), _stemmed(reference_rest))
    return sorted(equal + akin)


def _match_equal(words: _Words, reference: _Words) -> tuple[list[tuple[int, int]], _Words, _Words]:
    """The pairs, and what is left of both."""
    places: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for place, word in reference:
        places[word].append((place, word))
    matches: list[tuple[int, int]] = []
    rest: _Words = []
    for place, word in reversed(words):
        if places[word]:
            matches.append((place, places[word].pop()[0]))
        else:
            rest.append((place, word))
    return matches, rest[::-1], sorted(pair for left in places.values() for pair in left)


def _stemmed(words: _Words) -> _Words:
    return [(place, stem(word)) for place, word in words]


def _count_chunks(matches: Sequence[tuple[int, int]]) -> int:
    """Runs of matches whose words stand next to each other in both."""
    breaks = sum((b[0] - a[0], b[1] - a[1]) != (1, 1) for a, b in itertools.pairwise(matches))
    return breaks + 1
